//! What other threads can reach of a shard: wake one of its tasks, leave mail in a mesh queue, ask it to stop.
//!
//! Everything here is `Send + Sync`; it is the only part of a shard that is. The doorbell is an eventfd that the shard's driver
//! reads, written only when the [`WakeFlag`] says that the shard sleeps: at most one system call for each of its sleeps.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use super::wait_queue::WaitQueue;
use super::wake_flag::WakeFlag;
use crate::shard::shard::ShardId;
use crate::start::signal::Stop;
use crate::sync::{AtomicBool, AtomicU8, Ordering, SegQueue, fence};
use crate::task::TaskWaker;

/// How many tasks, on all shards and elsewhere, may wait for room in one shard's queues.
pub(crate) const WAITERS_MAX: usize = 4096;

/// The shared half of one shard.
#[derive(Debug)]
pub(crate) struct Inbox {
    shard: ShardId,
    wake_flag: WakeFlag,
    wake_event: OwnedFd,
    /// Tasks woken by other threads. Each task stands in it at most once, so its length is bounded by the number of tasks.
    wakes: SegQueue<Arc<TaskWaker>>,
    /// Those who found a queue to this shard full.
    room: WaitQueue,
    /// The shard takes in no more mail, ever.
    ended: AtomicBool,
    /// 0: run, 1: stop gracefully, 2: stop now. Only ever rises.
    stop: AtomicU8,
}

impl Inbox {
    /// Makes the shared half of a shard.
    ///
    /// # Errors
    ///
    /// The eventfd could not be made (no descriptors left).
    pub(crate) fn new(shard: ShardId) -> std::io::Result<Self> {
        let wake_event = eventfd(0, EventfdFlags::CLOEXEC)?;
        let wake_flag = WakeFlag::new();
        Ok(Self {
            shard,
            wake_flag,
            wake_event,
            wakes: SegQueue::new(),
            room: WaitQueue::new(WAITERS_MAX),
            ended: AtomicBool::new(false),
            stop: AtomicU8::new(0),
        })
    }

    pub(crate) fn shard(&self) -> ShardId {
        self.shard
    }

    /// Tells the shard to look at its mail, now or as soon as it wakes.
    pub(crate) fn notify(&self) {
        if self.wake_flag.notify() {
            // The counter cannot overflow: it is read at every wake-up and one is added at most once a sleep.
            let written = rustix::io::write(&self.wake_event, &1u64.to_ne_bytes());
            debug_assert!(written.is_ok(), "the doorbell of {} is broken: {written:?}", self.shard);
        }
    }

    /// Hands a task over to be woken on its own shard.
    pub(crate) fn post_wake(&self, task: Arc<TaskWaker>) {
        self.wakes.push(task);
        self.notify();
        if self.has_ended() {
            while self.wakes.pop().is_some() {}
        }
    }

    /// The next task woken from outside.
    pub(crate) fn next_wake(&self) -> Option<Arc<TaskWaker>> {
        self.wakes.pop()
    }

    /// Those who wait for room in a queue to this shard; woken whenever the shard has taken in its mail.
    pub(crate) fn room(&self) -> &WaitQueue {
        &self.room
    }

    /// Called by the shard when it takes in no more mail; afterwards it throws away what is in its queues. Whoever puts
    /// something into one looks at [`has_ended`](Self::has_ended) after [`notify`](Self::notify) and does the same, so that
    /// nothing is left in a queue that nobody reads.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        // Pairs with the fence in `WakeFlag::notify` and the one in `WaitQueue::register`.
        fence(Ordering::SeqCst);
        while self.wakes.pop().is_some() {}
    }

    /// Whether the shard takes in no more mail.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn wake_flag(&self) -> &WakeFlag {
        &self.wake_flag
    }

    /// The eventfd that ends the shard's sleep.
    pub(crate) fn wake_event(&self) -> BorrowedFd<'_> {
        self.wake_event.as_fd()
    }

    /// Asks the shard to stop; a later, milder request changes nothing.
    pub(crate) fn request_stop(&self, stop: Stop) {
        let level = match stop {
            Stop::Graceful => 1,
            Stop::Now => 2,
        };
        self.stop.fetch_max(level, Ordering::AcqRel);
        self.notify();
    }

    /// Whether the shard was asked to stop, and how.
    #[inline]
    pub(crate) fn stop(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Stop::Graceful),
            _ => Some(Stop::Now),
        }
    }
}
