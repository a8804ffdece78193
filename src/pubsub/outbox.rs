//! The outbox of one subscriber: empty, one batch, or a backlog.
//!
//! Most outboxes are empty most of the time, and then hold what one turn published to one topic. Neither state needs
//! memory beyond the outbox itself. A backlog, with its queue and policies, comes from the shard's pool with the next
//! messages and returns to it when empty.

use super::backlog::Backlog;
use super::backlog_pool::BacklogPool;
use super::batch::Batch;
use super::notice::Notice;
use super::position::Start;
use super::receipt::Receipt;
use super::take::{OutboxItem, QueueLimits, Resync, TakeLimits, TakeStatus, Unsent};
use super::topic::Topic;

/// The messages that wait for one subscriber.
#[derive(Debug, Default)]
pub(super) enum Outbox {
    #[default]
    Empty,
    One(Batch),
    Backlog(Box<Backlog>),
}

impl Outbox {
    /// Returns the weight of everything that waits.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(batch) => batch.weight(),
            Self::Backlog(backlog) => backlog.bytes(),
        }
    }

    /// Returns how many messages wait.
    pub(super) fn messages(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(batch) => batch.len(),
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
    pub(super) fn push(&mut self, message: Batch, room: QueueLimits, pool: &mut BacklogPool, receipt: &mut Receipt) {
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
    pub(super) fn is_open_to(&self, batch: &Batch) -> bool {
        match self {
            Self::Empty | Self::One(_) => true,
            Self::Backlog(backlog) => backlog.is_open_to(batch),
        }
    }

    /// Queues messages regardless of the marks.
    pub(super) fn append(&mut self, batch: Batch, pool: &mut BacklogPool) {
        match self {
            Self::Empty => *self = Self::One(batch),
            Self::One(_) | Self::Backlog(_) => self.backlog(pool).append(batch),
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
        hand_out: &mut dyn FnMut(&Batch),
    ) -> TakeStatus {
        match self {
            Self::Empty => TakeStatus::default(),
            Self::One(batch) => {
                let mut taken = TakeStatus::default();
                if let Some(first) = taken.take(batch, limits) {
                    hand_out(&first);
                }
                if batch.is_empty() {
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
            if let Self::One(batch) = std::mem::take(self) {
                backlog.append(batch);
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
