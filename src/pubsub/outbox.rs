//! What waits for one subscriber: nothing, one message, or a backlog.
//!
//! Most subscribers have nothing waiting most of the time, and then one message until the end of the turn. Neither needs memory beyond these
//! two words; a backlog, with its queue and its policies, is made with the second message and given back when all is taken.

use std::rc::Rc;

use super::backlog::Backlog;
use super::item::Item;
use super::log::Gap;
use super::notice::Notice;
use super::position::{Position, Start};
use super::publication::Publication;
use super::receipt::Receipt;
use super::topic::Topic;

/// What came out of an outbox, and what to do then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// How many publications were handed out.
    pub messages: usize,
    /// How many bytes were handed out, counted in the form everybody reads.
    pub bytes: usize,
    /// What comes after them.
    pub next: Next,
}

/// What stands behind the messages that were taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Next {
    /// Nothing: the subscriber is announced again when there is something.
    #[default]
    Nothing,
    /// More messages: take again when these are sent. The subscriber is not announced for them.
    More,
    /// Something to tell the subscriber at this place; then take again.
    Notice(Notice),
    /// The subscriber has caught up enough to be given a topic's history: fetch it, hand it to [`Topics::replay`](super::Topics::replay),
    /// and take again.
    Resync(Resync),
    /// The subscriber is to be closed with this code. Nothing is queued for it any more.
    Close(u16),
}

/// A topic a subscriber catches up on from its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resync {
    /// The topic.
    pub topic: Topic,
    /// Where it goes on.
    pub start: Start,
}

/// Messages of a topic that have not come to a shard, and are to come from the topic's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The topic.
    pub topic: Topic,
    /// The last message before them.
    pub after: Position,
    /// How many they are.
    pub messages: u64,
}

/// How much one [`Topics::take`](super::Topics::take) hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// Most messages.
    pub messages: usize,
    /// Most bytes, counted in the form everybody reads; one message at least is handed out whatever its size.
    pub bytes: usize,
}

/// How much a queue may hold at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) high: usize,
    pub(super) low: usize,
    /// How many bytes more may wait on the shard.
    pub(super) left: usize,
}

/// What waits for one subscriber.
#[derive(Debug, Default)]
pub(super) enum Outbox {
    #[default]
    Empty,
    One(Rc<Item>),
    Backlog(Box<Backlog>),
}

impl Outbox {
    /// What waits, weighed.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(item) => item.weight(),
            Self::Backlog(backlog) => backlog.bytes(),
        }
    }

    /// How many messages wait.
    pub(super) fn messages(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Backlog(backlog) => backlog.messages(),
        }
    }

    /// Whether [`take`](Self::take) would give something.
    pub(super) fn has_next(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::One(_) => true,
            Self::Backlog(backlog) => backlog.has_next(),
        }
    }

    /// Queues a message as its policy says, and counts what became of it.
    pub(super) fn push(&mut self, item: &Rc<Item>, room: Room, receipt: &mut Receipt) {
        match self {
            Self::Empty if item.weight() <= room.left => {
                receipt.queued += 1;
                *self = Self::One(Rc::clone(item));
            }
            _ => {
                self.backlog().push(item, room, receipt);
                self.settle();
            }
        }
    }

    /// Has a topic's messages come from its history; says whether one more such topic may be.
    pub(super) fn resync(&mut self, topic: Topic, start: Start) -> bool {
        let backlog = self.backlog();
        let can_resync = backlog.can_resync();
        if can_resync {
            backlog.resync(topic, start);
        }
        self.settle();
        can_resync
    }

    /// Has a topic's messages come from its publishers again; says whether they did not.
    pub(super) fn end_resync(&mut self, topic: &Topic) -> bool {
        let Self::Backlog(backlog) = self else {
            return false;
        };
        let was_resyncing = backlog.end_resync(topic);
        self.settle();
        was_resyncing
    }

    /// Has messages that have not come to the shard, and those behind them, come from their topic's history; counts them.
    pub(super) fn fall_back(&mut self, unsent: &Unsent, receipt: &mut Receipt) {
        self.backlog().fall_back(unsent, receipt);
        self.settle();
    }

    /// Has the subscriber told that a history could not give what was asked of it.
    pub(super) fn add_gap(&mut self, topic: Topic, gap: Gap) {
        self.backlog().add_gap(topic, gap);
        self.settle();
    }

    /// Forgets what was to come from histories.
    pub(super) fn end_all_resyncs(&mut self) {
        if let Self::Backlog(backlog) = self {
            backlog.end_all_resyncs();
            self.settle();
        }
    }

    /// Hands out what is at the front.
    pub(super) fn take(&mut self, most: Most, low: usize, hand_out: &mut dyn FnMut(&Publication)) -> Taken {
        match self {
            Self::Empty => Taken::default(),
            Self::One(_) if most.messages == 0 => Taken {
                next: Next::More,
                ..Taken::default()
            },
            Self::One(item) => {
                hand_out(&item.publication);
                let taken = Taken {
                    messages: 1,
                    bytes: item.publication.message.len(),
                    next: Next::Nothing,
                };
                *self = Self::Empty;
                taken
            }
            Self::Backlog(backlog) => {
                let taken = backlog.take(most, low, hand_out);
                self.settle();
                taken
            }
        }
    }

    fn backlog(&mut self) -> &mut Backlog {
        if !matches!(self, Self::Backlog(_)) {
            let mut backlog = Box::<Backlog>::default();
            if let Self::One(item) = std::mem::take(self) {
                backlog.append(item);
            }
            *self = Self::Backlog(backlog);
        }
        match self {
            Self::Backlog(backlog) => backlog,
            Self::Empty | Self::One(_) => unreachable!("it has just been made a backlog"),
        }
    }

    /// Gives the backlog's memory back once it holds nothing.
    fn settle(&mut self) {
        if matches!(self, Self::Backlog(backlog) if backlog.is_idle()) {
            *self = Self::Empty;
        }
    }
}
