//! A shard's reactor: where it sleeps, and what wakes it.

use std::rc::Rc;
use std::time::Instant;

use super::Driver;
use super::epoll::Epoll;
use super::io_uring::Ring;
use crate::shard::core::Core;
use crate::statistics::Statistics;

/// The driver of one shard's sockets.
#[derive(Debug, Clone)]
pub(crate) enum Reactor {
    Ring(Rc<Ring>),
    Epoll(Rc<Epoll>),
}

impl Reactor {
    /// Submits what the tasks asked for, sleeps until an event if it may, reads the shard's clock, and wakes the tasks
    /// concerned.
    pub(crate) async fn turn(&self, core: &Core, may_sleep: bool) {
        match self {
            Self::Ring(ring) => ring.turn(core, may_sleep),
            Self::Epoll(epoll) => epoll.turn(core, may_sleep).await,
        }
    }

    /// Takes all events so far, so that deadlines are judged after bytes that arrived in time.
    pub(crate) async fn catch_up(&self, core: &Core) {
        match self {
            Self::Ring(ring) => ring.catch_up(),
            Self::Epoll(epoll) => epoll.catch_up(core).await,
        }
    }

    /// Ensures that the shard is awake at `deadline` at the latest.
    pub(crate) fn wake_at(&self, deadline: Instant) {
        match self {
            Self::Ring(ring) => ring.arm_timer(deadline),
            Self::Epoll(epoll) => epoll.arm_timer(deadline),
        }
    }

    /// Returns whether every socket is closed, so that the addresses are free to be bound again.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.is_quiet(),
            Self::Epoll(epoll) => epoll.is_quiet(),
        }
    }

    /// Returns the number of open sockets, including those connecting or closing.
    pub(crate) fn open_sockets(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.open_sockets(),
            Self::Epoll(epoll) => epoll.open_sockets(),
        }
    }

    /// Returns the driver's counters.
    pub(crate) fn statistics(&self) -> Statistics {
        match self {
            Self::Ring(ring) => Statistics {
                driver: Driver::IoUring,
                ..ring.statistics()
            },
            Self::Epoll(epoll) => Statistics {
                driver: Driver::Epoll,
                ..epoll.statistics()
            },
        }
    }
}
