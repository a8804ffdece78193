//! The part of a shard that other threads reach: they wake its tasks, send it messages, ask it to stop.
//!
//! Everything here is `Send + Sync`, unlike the rest of a shard. `wake_event` is an eventfd read by the shard's driver.
//! It is written only while [`WakeFlag`] reports that the shard sleeps: at most one system call per sleep.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

use super::wait_queue::WaitQueue;
use super::wake_flag::WakeFlag;
use crate::shard::id::ShardId;
use crate::start::signal::Stop;
use crate::sync::{AtomicBool, AtomicU8, Ordering, fence};

/// How many tasks, on any thread, may wait for room in one shard's queues. 4096: a task beyond it gets an error.
pub(crate) const WAITERS_MAX: usize = 4096;

/// The shared half of a shard.
#[derive(Debug)]
pub(crate) struct Inbox {
    shard: ShardId,
    wake_flag: WakeFlag,
    wake_event: OwnedFd,
    /// Senders that found a queue to this shard full.
    room: WaitQueue,
    /// The shard has stopped receiving, for good.
    ended: AtomicBool,
    /// 0: run, 1: stop gracefully, 2: stop now. Never decreases.
    stop: AtomicU8,
}

impl Inbox {
    /// Creates the shared half of a shard.
    ///
    /// # Errors
    ///
    /// The eventfd could not be created: the process is out of descriptors.
    pub(crate) fn new(shard: ShardId) -> std::io::Result<Self> {
        let wake_event = eventfd(0, EventfdFlags::CLOEXEC)?;
        let wake_flag = WakeFlag::new();
        Ok(Self {
            shard,
            wake_flag,
            wake_event,
            room: WaitQueue::new(WAITERS_MAX),
            ended: AtomicBool::new(false),
            stop: AtomicU8::new(0),
        })
    }

    pub(crate) fn shard(&self) -> ShardId {
        self.shard
    }

    /// Makes the shard look at its queues, at once if it sleeps.
    pub(crate) fn notify(&self) {
        if self.wake_flag.notify() {
            // The counter cannot overflow: each sleep adds at most one, and each wake-up reads it.
            let written = rustix::io::write(&self.wake_event, &1u64.to_ne_bytes());
            debug_assert!(
                written.is_ok(),
                "could not write the eventfd of {}: {written:?}",
                self.shard
            );
        }
    }

    /// Returns the senders waiting for room in a queue to this shard; the shard wakes them after it has taken its
    /// messages.
    pub(crate) fn room(&self) -> &WaitQueue {
        &self.room
    }

    /// Stops receiving; called by the shard, which then drops what its queues hold.
    ///
    /// A sender checks [`has_ended`](Self::has_ended) after [`notify`](Self::notify) and, if it is set, drops the queue
    /// too. So no message stays behind in a queue without a reader.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        // Pairs with the fence in `WakeFlag::notify` and the one in `WaitQueue::register`.
        fence(Ordering::SeqCst);
    }

    /// Returns whether the shard has stopped receiving.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn wake_flag(&self) -> &WakeFlag {
        &self.wake_flag
    }

    /// Returns the eventfd that ends the shard's sleep.
    pub(crate) fn wake_event(&self) -> BorrowedFd<'_> {
        self.wake_event.as_fd()
    }

    /// Asks the shard to stop; a milder request after a firmer one changes nothing.
    pub(crate) fn request_stop(&self, stop: Stop) {
        let level = match stop {
            Stop::Graceful => 1,
            Stop::Now => 2,
        };
        self.stop.fetch_max(level, Ordering::AcqRel);
        self.notify();
    }

    /// Returns how the shard was asked to stop, if it was.
    #[inline]
    pub(crate) fn stop(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Stop::Graceful),
            _ => Some(Stop::Now),
        }
    }
}
