//! What waits for one subscriber: nothing, one message or burst, or a backlog.
//!
//! Most subscribers have nothing waiting most of the time, and then what was published to one topic in a turn, until its end. Neither needs
//! memory beyond these two words; a backlog, with its queue and its policies, is taken from the shard's shelf with what comes next, and put
//! back when all is taken.

use super::backlog::Backlog;
use super::backlog_pool::BacklogPool;
use super::batch::BatchSlice;
use super::notice::Notice;
use super::position::{Position, Start};
use super::receipt::Receipt;
use super::topic::Topic;

/// What came out of an outbox, and what to do then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TakeStatus {
    /// How many publications were handed out.
    pub messages: usize,
    /// How many bytes were handed out, counted in the form everybody reads.
    pub bytes: usize,
    /// What comes after them.
    pub next: OutboxItem,
}

impl TakeStatus {
    /// Takes from the front of a run what the limit has left, and of all messages the first whatever its size.
    pub(super) fn take(&mut self, slice: &mut BatchSlice, limits: TakeLimits) -> Option<BatchSlice> {
        let left = TakeLimits {
            messages: limits.messages.saturating_sub(self.messages),
            bytes: limits.bytes.saturating_sub(self.bytes),
        };
        let taken = match slice.split_within(left) {
            None if self.messages == 0 && left.messages > 0 => slice.split_first(),
            taken => taken,
        }?;
        self.messages += taken.len();
        self.bytes += taken.message_bytes();
        Some(taken)
    }
}

/// What stands behind the messages that were taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OutboxItem {
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
pub struct TakeLimits {
    /// Most messages.
    pub messages: usize,
    /// Most bytes, counted in the form everybody reads; one message at least is handed out whatever its size.
    pub bytes: usize,
}

/// How much a queue may hold at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLimits {
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
    One(BatchSlice),
    Backlog(Box<Backlog>),
}

impl Outbox {
    /// What waits, weighed.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(slice) => slice.weight(),
            Self::Backlog(backlog) => backlog.bytes(),
        }
    }

    /// How many messages wait.
    pub(super) fn messages(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(slice) => slice.len(),
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
    pub(super) fn push(
        &mut self,
        message: BatchSlice,
        room: QueueLimits,
        pool: &mut BacklogPool,
        receipt: &mut Receipt,
    ) {
        match self {
            Self::Empty if message.weight() <= room.left => {
                receipt.queued += 1;
                *self = Self::One(message);
            }
            _ => {
                self.backlog(pool).push(&message, room, receipt);
                self.settle(pool);
            }
        }
    }

    /// Whether messages can be queued with no policy having a word to say, if there is room.
    pub(super) fn is_open_to(&self, slice: &BatchSlice) -> bool {
        match self {
            Self::Empty | Self::One(_) => true,
            Self::Backlog(backlog) => backlog.is_open_to(slice),
        }
    }

    /// Queues messages, whatever waits already.
    pub(super) fn append(&mut self, slice: BatchSlice, pool: &mut BacklogPool) {
        match self {
            Self::Empty => *self = Self::One(slice),
            Self::One(_) | Self::Backlog(_) => self.backlog(pool).append(slice),
        }
    }

    /// Has a topic's messages come from its history; says whether one more such topic may be.
    pub(super) fn resync(&mut self, topic: Topic, start: Start, pool: &mut BacklogPool) -> bool {
        let backlog = self.backlog(pool);
        let can_resync = backlog.can_resync();
        if can_resync {
            backlog.resync(topic, start);
        }
        self.settle(pool);
        can_resync
    }

    /// Whether the server has been asked for this, and has not answered yet.
    pub(super) fn awaits(&self, resync: &Resync) -> bool {
        matches!(self, Self::Backlog(backlog) if backlog.awaits(resync))
    }

    /// Has a topic's messages come from its publishers again; says whether they did not.
    pub(super) fn end_resync(&mut self, topic: &Topic, pool: &mut BacklogPool) -> bool {
        let Self::Backlog(backlog) = self else {
            return false;
        };
        let was_resyncing = backlog.end_resync(topic);
        self.settle(pool);
        was_resyncing
    }

    /// Has messages that have not come to the shard, and those behind them, come from their topic's history; counts them.
    pub(super) fn fall_back(&mut self, unsent: &Unsent, pool: &mut BacklogPool, receipt: &mut Receipt) {
        self.backlog(pool).fall_back(unsent, receipt);
        self.settle(pool);
    }

    /// Has the subscriber told something behind what waits.
    pub(super) fn add_notice(&mut self, notice: Notice, pool: &mut BacklogPool) {
        self.backlog(pool).add_notice(notice);
        self.settle(pool);
    }

    /// Forgets what was to come from histories.
    pub(super) fn end_all_resyncs(&mut self, pool: &mut BacklogPool) {
        if let Self::Backlog(backlog) = self {
            backlog.end_all_resyncs();
            self.settle(pool);
        }
    }

    /// Hands out what is at the front.
    pub(super) fn take(
        &mut self,
        limits: TakeLimits,
        low: usize,
        pool: &mut BacklogPool,
        hand_out: &mut dyn FnMut(&BatchSlice),
    ) -> TakeStatus {
        match self {
            Self::Empty => TakeStatus::default(),
            Self::One(slice) => {
                let mut taken = TakeStatus::default();
                if let Some(first) = taken.take(slice, limits) {
                    hand_out(&first);
                }
                if slice.is_empty() {
                    *self = Self::Empty;
                } else {
                    taken.next = OutboxItem::More;
                }
                taken
            }
            Self::Backlog(backlog) => {
                let taken = backlog.take(limits, low, hand_out);
                self.settle(pool);
                taken
            }
        }
    }

    fn backlog(&mut self, pool: &mut BacklogPool) -> &mut Backlog {
        if !matches!(self, Self::Backlog(_)) {
            let mut backlog = pool.take();
            if let Self::One(slice) = std::mem::take(self) {
                backlog.append(slice);
            }
            *self = Self::Backlog(backlog);
        }
        match self {
            Self::Backlog(backlog) => backlog,
            Self::Empty | Self::One(_) => unreachable!("it has just been made a backlog"),
        }
    }

    /// Gives the backlog back once it holds nothing.
    fn settle(&mut self, pool: &mut BacklogPool) {
        if matches!(self, Self::Backlog(backlog) if backlog.is_idle())
            && let Self::Backlog(backlog) = std::mem::take(self)
        {
            pool.put(backlog);
        }
    }
}
