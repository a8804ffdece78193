//! The outbox of one subscriber: empty, one slice of a batch, or a backlog.
//!
//! Most outboxes are empty most of the time, and then hold what one turn published to one topic. Neither state needs
//! memory beyond the outbox itself. A backlog, with its queue and policies, comes from the shard's pool with the next
//! messages and returns to it when empty.

use super::backlog::Backlog;
use super::backlog_pool::BacklogPool;
use super::batch::BatchSlice;
use super::notice::Notice;
use super::position::{Position, Start};
use super::receipt::Receipt;
use super::topic::Topic;

/// The result of one take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TakeStatus {
    /// How many messages were handed out.
    pub messages: usize,
    /// How many bytes were handed out, counted in the plain form.
    pub bytes: usize,
    /// What follows them in the outbox.
    pub next: OutboxItem,
}

impl TakeStatus {
    /// Splits off what the limits leave from the front of a slice, or the first message of the take whatever its size.
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

/// What follows the messages that were taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OutboxItem {
    /// Nothing: the subscriber is announced again for the next message.
    #[default]
    Nothing,
    /// More messages: take again when these are sent. The subscriber is not announced for them.
    More,
    /// A notice for the subscriber; then take again.
    Notice(Notice),
    /// A history to fetch, because the subscriber has caught up enough: pass it to
    /// [`Topics::replay`](super::Topics::replay) and take again.
    Resync(Resync),
    /// Close the subscriber with this code; nothing more is queued for it.
    Close(u16),
}

/// A topic a subscriber catches up on from its history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resync {
    /// The topic.
    pub topic: Topic,
    /// Where the subscriber resumes.
    pub start: Start,
}

/// Messages of a topic that did not reach a shard and must come from the topic's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The topic.
    pub topic: Topic,
    /// The last message before them.
    pub after: Position,
    /// How many there are.
    pub messages: u64,
}

/// Limits of one [`Topics::take`](super::Topics::take).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakeLimits {
    /// Most messages.
    pub messages: usize,
    /// Most bytes, counted in the plain form; at least one message is handed out whatever its size.
    pub bytes: usize,
}

/// The marks of a queue at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLimits {
    pub(super) high: usize,
    pub(super) low: usize,
    /// How many more bytes may wait on the shard.
    pub(super) left: usize,
}

/// The messages that wait for one subscriber.
#[derive(Debug, Default)]
pub(super) enum Outbox {
    #[default]
    Empty,
    One(BatchSlice),
    Backlog(Box<Backlog>),
}

impl Outbox {
    /// Returns the weight of everything that waits.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(slice) => slice.weight(),
            Self::Backlog(backlog) => backlog.bytes(),
        }
    }

    /// Returns how many messages wait.
    pub(super) fn messages(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(slice) => slice.len(),
            Self::Backlog(backlog) => backlog.messages(),
        }
    }

    /// Returns whether [`take`](Self::take) would yield something.
    pub(super) fn has_next(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::One(_) => true,
            Self::Backlog(backlog) => backlog.has_next(),
        }
    }

    /// Queues one message under its policy and counts the result.
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

    /// Returns whether these messages can be queued without applying a policy, given room.
    pub(super) fn is_open_to(&self, slice: &BatchSlice) -> bool {
        match self {
            Self::Empty | Self::One(_) => true,
            Self::Backlog(backlog) => backlog.is_open_to(slice),
        }
    }

    /// Queues messages regardless of the marks.
    pub(super) fn append(&mut self, slice: BatchSlice, pool: &mut BacklogPool) {
        match self {
            Self::Empty => *self = Self::One(slice),
            Self::One(_) | Self::Backlog(_) => self.backlog(pool).append(slice),
        }
    }

    /// Takes a topic's messages from its history; returns false at the limit of concurrent resyncs.
    pub(super) fn resync(&mut self, topic: Topic, start: Start, pool: &mut BacklogPool) -> bool {
        let backlog = self.backlog(pool);
        let can_resync = backlog.can_resync();
        if can_resync {
            backlog.resync(topic, start);
        }
        self.settle(pool);
        can_resync
    }

    /// Returns whether the server has been asked for this history and has not responded yet.
    pub(super) fn awaits(&self, resync: &Resync) -> bool {
        matches!(self, Self::Backlog(backlog) if backlog.awaits(resync))
    }

    /// Takes a topic's messages from its publishers again; returns whether it was resyncing.
    pub(super) fn end_resync(&mut self, topic: &Topic, pool: &mut BacklogPool) -> bool {
        let Self::Backlog(backlog) = self else {
            return false;
        };
        let was_resyncing = backlog.end_resync(topic);
        self.settle(pool);
        was_resyncing
    }

    /// Takes a topic's unsent messages, and those behind them, from its history; counts them.
    pub(super) fn fall_back(&mut self, unsent: &Unsent, pool: &mut BacklogPool, receipt: &mut Receipt) {
        self.backlog(pool).fall_back(unsent, receipt);
        self.settle(pool);
    }

    /// Queues a notice behind the waiting messages.
    pub(super) fn add_notice(&mut self, notice: Notice, pool: &mut BacklogPool) {
        self.backlog(pool).add_notice(notice);
        self.settle(pool);
    }

    /// Drops all pending resyncs.
    pub(super) fn end_all_resyncs(&mut self, pool: &mut BacklogPool) {
        if let Self::Backlog(backlog) = self {
            backlog.end_all_resyncs();
            self.settle(pool);
        }
    }

    /// Hands out the front of the outbox within the limits.
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

    /// Returns an idle backlog to the pool.
    fn settle(&mut self, pool: &mut BacklogPool) {
        if matches!(self, Self::Backlog(backlog) if backlog.is_idle())
            && let Self::Backlog(backlog) = std::mem::take(self)
        {
            pool.put(backlog);
        }
    }
}
