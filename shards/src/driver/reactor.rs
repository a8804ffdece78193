//! A shard's reactor: where it sleeps, and what wakes it.

use std::rc::Rc;
use std::time::Instant;

use super::Driver;
use super::epoll::Epoll;
use super::io_uring::Ring;
use crate::shard::shard::ShardContext;
use crate::statistics::Statistics;

/// What moves a shard's bytes.
#[derive(Debug, Clone)]
pub(crate) enum Reactor {
    Ring(Rc<Ring>),
    Epoll(Rc<Epoll>),
}

impl Reactor {
    /// Hands over what the tasks asked for, sleeps if it may until something happens, reads the shard's clock, and wakes the tasks
    /// whom it concerns.
    pub(crate) async fn turn(&self, shard: &ShardContext, may_sleep: bool) {
        match self {
            Self::Ring(ring) => ring.turn(shard, may_sleep),
            Self::Epoll(epoll) => epoll.turn(shard, may_sleep).await,
        }
    }

    /// Takes in whatever has happened so far, before deadlines are judged by.
    pub(crate) async fn catch_up(&self, shard: &ShardContext) {
        match self {
            Self::Ring(ring) => ring.catch_up(),
            Self::Epoll(epoll) => epoll.catch_up(shard).await,
        }
    }

    /// Makes sure that the shard is awake at `deadline`, if not before.
    pub(crate) fn wake_at(&self, deadline: Instant) {
        match self {
            Self::Ring(ring) => ring.arm_timer(deadline),
            Self::Epoll(epoll) => epoll.arm_timer(deadline),
        }
    }

    /// Whether every socket is closed, so that the addresses are free for whoever binds them next.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.is_quiet(),
            Self::Epoll(epoll) => epoll.is_quiet(),
        }
    }

    /// How many sockets are open, those that are still connecting or closing included.
    pub(crate) fn open_sockets(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.open_sockets(),
            Self::Epoll(epoll) => epoll.open_sockets(),
        }
    }

    /// What the driver counts.
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
