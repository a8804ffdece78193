//! One shard's ring: its sockets, its buffers, and the queue of requests to the kernel.
//!
//! Other files of this folder add the methods of their part to [`Ring`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use io_uring::cqueue;

use super::config::RingConfig;
use super::memory::Fixed;
use super::operation::SlotKey;
use super::request::Request;
use super::slots::Slots;
use super::states::{ListenerState, PendingConnect, StreamState};
use super::timer::Timer;
use super::uring::Uring;
use crate::net::buffer_pool::BufferPool;
use crate::statistics::Statistics;

/// One shard's ring and everything in it.
pub(crate) struct Ring {
    // First, so that it is dropped first: its drop ends every operation before the memory below is freed.
    pub(super) uring: Uring,
    pub(super) streams: RefCell<Slots<StreamState>>,
    pub(super) listeners: RefCell<Slots<ListenerState>>,
    /// Sockets still connecting.
    pub(super) pending_connects: RefCell<Slots<PendingConnect>>,
    /// Streams whose receive ended for lack of a buffer, in order of arrival.
    pub(super) parked: RefCell<VecDeque<SlotKey>>,
    /// How many receives into streams' own buffers are in flight.
    pub(super) plain_receives: Cell<usize>,
    /// Requests that did not fit the submission queue; submitted before any other.
    pub(super) backlog: RefCell<VecDeque<Request>>,
    pub(super) completions: RefCell<Vec<cqueue::Entry>>,
    pub(super) pool: BufferPool,
    pub(super) timer: Timer,
    pub(super) wake_event: WakeEvent,
    pub(super) config: RingConfig,
    pub(super) counters: Counters,
    /// The requests so far, which then never reach the kernel; in tests of the memory that requests name.
    #[cfg(test)]
    pub(super) captured: RefCell<Option<Vec<Request>>>,
}

/// The eventfd other threads write to, and the eight bytes the ring reads it into.
pub(super) struct WakeEvent {
    pub(super) descriptor: std::os::fd::RawFd,
    pub(super) counter: Fixed<Cell<u64>>,
    pub(super) armed: Cell<bool>,
}

/// The ring's counters; reported in [`Statistics`](crate::Statistics).
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) enters: Cell<u64>,
    pub(super) completions: Cell<u64>,
    pub(super) accepted: Cell<u64>,
    pub(super) accept_pauses: Cell<u64>,
    pub(super) parked: Cell<u64>,
    pub(super) plain_receives: Cell<u64>,
    pub(super) quota_cancels: Cell<u64>,
    pub(super) stale: Cell<u64>,
    pub(super) overflows: Cell<u64>,
}

pub(super) fn count(counter: &Cell<u64>) {
    counter.set(counter.get().wrapping_add(1));
}

impl Ring {
    /// Queues a request for the next `io_uring_enter`. Inlined, so that the request is written once, where the kernel
    /// reads it.
    #[inline]
    pub(super) fn push(&self, request: Request) {
        #[cfg(test)]
        if let Some(captured) = &mut *self.captured.borrow_mut() {
            captured.push(request);
            return;
        }
        if !self.backlog.borrow().is_empty() || !self.try_push(&request) {
            self.push_later(request);
        }
    }

    /// Queues a request if the submission queue has room; returns whether it had.
    #[inline]
    fn try_push(&self, request: &Request) -> bool {
        let mut ring = self.uring.ring.borrow_mut();
        request.push_to(&mut ring.submission())
    }

    /// Queues a request that found no room, or that must not overtake others waiting.
    #[cold]
    fn push_later(&self, request: Request) {
        let is_alone = self.backlog.borrow().is_empty();
        self.backlog.borrow_mut().push_back(request);
        if is_alone {
            self.push_backlog();
        }
    }

    /// Moves waiting requests into the submission queue, submitting what is queued to make room.
    pub(super) fn push_backlog(&self) {
        let mut backlog = self.backlog.borrow_mut();
        while let Some(request) = backlog.front() {
            if !self.try_push(request) {
                // If this fails the completion queue is full: reap first, the backlog goes out next turn.
                if self.uring.ring.borrow_mut().submit().is_err() || !self.try_push(request) {
                    break;
                }
            }
            backlog.pop_front();
        }
    }

    /// Returns the shard's pool of output buffers.
    pub(crate) fn pool(&self) -> &BufferPool {
        &self.pool
    }

    /// Returns the number of sockets, not counting listeners.
    pub(crate) fn open_sockets(&self) -> usize {
        self.streams.borrow().len() + self.pending_connects.borrow().len()
    }

    /// Returns the ring's counters and sizes.
    pub(crate) fn statistics(&self) -> Statistics {
        let buffers = self.uring.buffers.borrow();
        let counters = &self.counters;
        Statistics {
            streams: self.open_sockets(),
            listeners: self.listeners.borrow().len(),
            receive_buffers_available: buffers.available(),
            ring_enters: counters.enters.get(),
            completions: counters.completions.get(),
            accepted: counters.accepted.get(),
            accept_pauses: counters.accept_pauses.get(),
            receives_parked: counters.parked.get(),
            receives_plain: counters.plain_receives.get(),
            receives_over_quota: counters.quota_cancels.get(),
            completions_stale: counters.stale.get(),
            completion_overflows: counters.overflows.get(),
            ..Statistics::default()
        }
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Ring")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// A handle to a shard's ring.
pub(crate) type SharedRing = Rc<Ring>;
