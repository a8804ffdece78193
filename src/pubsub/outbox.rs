//! What waits for one subscriber: nothing, one message or burst, or a backlog.
//!
//! Most subscribers have nothing waiting most of the time, and then what was published to one topic in a turn, until its end. Neither needs
//! memory beyond these two words; a backlog, with its queue and its policies, is taken from the shard's shelf with what comes next, and put
//! back when all is taken.

use super::backlog::Backlog;
use super::burst::Run;
use super::notice::Notice;
use super::position::{Position, Start};
use super::receipt::Receipt;
use super::shelf::Shelf;
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

impl Taken {
    /// Takes from the front of a run what the limit has left, and of all messages the first whatever its size.
    pub(super) fn take(&mut self, run: &mut Run, most: Most) -> Option<Run> {
        let left = Most {
            messages: most.messages.saturating_sub(self.messages),
            bytes: most.bytes.saturating_sub(self.bytes),
        };
        let taken = match run.split_most(left) {
            None if self.messages == 0 && left.messages > 0 => run.split_first(),
            taken => taken,
        }?;
        self.messages += taken.len();
        self.bytes += taken.message_bytes();
        Some(taken)
    }
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    One(Run),
    Backlog(Box<Backlog>),
}

impl Outbox {
    /// What waits, weighed.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(run) => run.weight(),
            Self::Backlog(backlog) => backlog.bytes(),
        }
    }

    /// How many messages wait.
    pub(super) fn messages(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(run) => run.len(),
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
    pub(super) fn push(&mut self, message: Run, room: Room, shelf: &mut Shelf, receipt: &mut Receipt) {
        match self {
            Self::Empty if message.weight() <= room.left => {
                receipt.queued += 1;
                *self = Self::One(message);
            }
            _ => {
                self.backlog(shelf).push(&message, room, receipt);
                self.settle(shelf);
            }
        }
    }

    /// Whether messages can be queued with no policy having a word to say, if there is room.
    pub(super) fn is_open_to(&self, run: &Run) -> bool {
        match self {
            Self::Empty | Self::One(_) => true,
            Self::Backlog(backlog) => backlog.is_open_to(run),
        }
    }

    /// Queues messages, whatever waits already.
    pub(super) fn append(&mut self, run: Run, shelf: &mut Shelf) {
        match self {
            Self::Empty => *self = Self::One(run),
            Self::One(_) | Self::Backlog(_) => self.backlog(shelf).append(run),
        }
    }

    /// Has a topic's messages come from its history; says whether one more such topic may be.
    pub(super) fn resync(&mut self, topic: Topic, start: Start, shelf: &mut Shelf) -> bool {
        let backlog = self.backlog(shelf);
        let can_resync = backlog.can_resync();
        if can_resync {
            backlog.resync(topic, start);
        }
        self.settle(shelf);
        can_resync
    }

    /// Whether the server has been asked for this, and has not answered yet.
    pub(super) fn awaits(&self, resync: &Resync) -> bool {
        matches!(self, Self::Backlog(backlog) if backlog.awaits(resync))
    }

    /// Has a topic's messages come from its publishers again; says whether they did not.
    pub(super) fn end_resync(&mut self, topic: &Topic, shelf: &mut Shelf) -> bool {
        let Self::Backlog(backlog) = self else {
            return false;
        };
        let was_resyncing = backlog.end_resync(topic);
        self.settle(shelf);
        was_resyncing
    }

    /// Has messages that have not come to the shard, and those behind them, come from their topic's history; counts them.
    pub(super) fn fall_back(&mut self, unsent: &Unsent, shelf: &mut Shelf, receipt: &mut Receipt) {
        self.backlog(shelf).fall_back(unsent, receipt);
        self.settle(shelf);
    }

    /// Has the subscriber told something behind what waits.
    pub(super) fn add_notice(&mut self, notice: Notice, shelf: &mut Shelf) {
        self.backlog(shelf).add_notice(notice);
        self.settle(shelf);
    }

    /// Forgets what was to come from histories.
    pub(super) fn end_all_resyncs(&mut self, shelf: &mut Shelf) {
        if let Self::Backlog(backlog) = self {
            backlog.end_all_resyncs();
            self.settle(shelf);
        }
    }

    /// Hands out what is at the front.
    pub(super) fn take(&mut self, most: Most, low: usize, shelf: &mut Shelf, hand_out: &mut dyn FnMut(&Run)) -> Taken {
        match self {
            Self::Empty => Taken::default(),
            Self::One(run) => {
                let mut taken = Taken::default();
                if let Some(first) = taken.take(run, most) {
                    hand_out(&first);
                }
                if run.is_empty() {
                    *self = Self::Empty;
                } else {
                    taken.next = Next::More;
                }
                taken
            }
            Self::Backlog(backlog) => {
                let taken = backlog.take(most, low, hand_out);
                self.settle(shelf);
                taken
            }
        }
    }

    fn backlog(&mut self, shelf: &mut Shelf) -> &mut Backlog {
        if !matches!(self, Self::Backlog(_)) {
            let mut backlog = shelf.take();
            if let Self::One(run) = std::mem::take(self) {
                backlog.append(run);
            }
            *self = Self::Backlog(backlog);
        }
        match self {
            Self::Backlog(backlog) => backlog,
            Self::Empty | Self::One(_) => unreachable!("it has just been made a backlog"),
        }
    }

    /// Gives the backlog back once it holds nothing.
    fn settle(&mut self, shelf: &mut Shelf) {
        if matches!(self, Self::Backlog(backlog) if backlog.is_idle())
            && let Self::Backlog(backlog) = std::mem::take(self)
        {
            shelf.put(backlog);
        }
    }
}
