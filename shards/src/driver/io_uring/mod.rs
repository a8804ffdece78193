//! The io_uring driver: a shard's ring carries all its sockets, and the shard sleeps in it. glommio runs the thread's
//! executor beside it.
//!
//! Set up with `SINGLE_ISSUER | DEFER_TASKRUN`: only the shard's thread enters the ring, and the kernel does its share
//! of the work inside our `io_uring_enter`. `TASKRUN_FLAG` shows whether such work exists. It matters because an enter
//! that waits for no completion does at most 20 pieces of work.
//!
//! ```text
//!        accept, receive (multishot)          sends, queued during a turn
//!   kernel ──────────────────────► turn ─────────────────────────────► kernel
//!                                   │  one io_uring_enter a turn
//!                   wakes tasks ◄───┘
//! ```
//!
//! Files along a byte's way: [`turn`] (completions out of the ring) → [`operation`] (their slot) → [`streams`] (into
//! the slot, wake the task) → [`received`] (what the task gets). [`buffers`] is the pool the kernel receives into,
//! [`send`] what it sends from. Sockets come from [`listeners`] and [`connect`].
//!
//! This folder is one of two places where the workspace allows `unsafe`: it shares memory with the kernel.

mod buffers;
mod config;
mod connect;
mod listeners;
#[cfg(test)]
mod lost_end;
mod memory;
mod operation;
#[cfg(test)]
mod poll_first;
mod probe;
mod received;
mod send;
mod setup;
mod slots;
mod streams;
mod timer;
mod turn;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use io_uring::{IoUring, cqueue, squeue};

use buffers::{BufferMemory, Buffers};
use connect::PendingConnect;
use listeners::ListenerState;
use operation::SlotKey;
use slots::Slots;
use streams::StreamState;
use timer::Timer;

use crate::net::buffer_pool::BufferPool;

pub(crate) use config::{RingConfig, SETUP_FLAGS, ring_builder};
pub(crate) use connect::Connecting;
pub(crate) use listeners::ListenerSocket;
pub(crate) use probe::probe_multishot;
pub(crate) use received::Received;
pub(crate) use streams::StreamSocket;

/// One shard's ring and everything in it.
pub(crate) struct Ring {
    // First, so that it is dropped first: closing the ring ends every operation before its memory is freed.
    ring: RefCell<IoUring>,
    buffers: RefCell<Buffers>,
    memory: BufferMemory,
    streams: RefCell<Slots<StreamState>>,
    listeners: RefCell<Slots<ListenerState>>,
    /// Sockets still connecting.
    pending_connects: RefCell<Slots<PendingConnect>>,
    /// Streams whose receive ended for lack of a buffer, in order of arrival.
    parked: RefCell<VecDeque<SlotKey>>,
    /// How many receives into streams' own buffers are in flight.
    plain_receives: Cell<usize>,
    /// Requests that did not fit the submission queue; submitted before any other.
    backlog: RefCell<VecDeque<squeue::Entry>>,
    completions: RefCell<Vec<cqueue::Entry>>,
    pool: BufferPool,
    timer: Timer,
    wake_event: WakeEvent,
    config: RingConfig,
    counters: Counters,
}

/// The eventfd other threads write to, and the eight bytes the ring reads it into.
struct WakeEvent {
    descriptor: std::os::fd::RawFd,
    counter: Box<Cell<u64>>,
    armed: Cell<bool>,
}

/// The ring's counters; reported in [`Statistics`](crate::Statistics).
#[derive(Debug, Default)]
struct Counters {
    enters: Cell<u64>,
    completions: Cell<u64>,
    accepted: Cell<u64>,
    accept_pauses: Cell<u64>,
    parked: Cell<u64>,
    plain_receives: Cell<u64>,
    quota_cancels: Cell<u64>,
    stale: Cell<u64>,
    overflows: Cell<u64>,
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get().wrapping_add(1));
}

impl Ring {
    /// Queues a request for the next `io_uring_enter`. Inlined, so that the request is written once, where the kernel
    /// reads it.
    #[inline]
    fn push(&self, entry: squeue::Entry) {
        if !self.backlog.borrow().is_empty() || !self.try_push(&entry) {
            self.push_later(entry);
        }
    }

    /// Queues a request if the submission queue has room; returns whether it had.
    #[inline]
    fn try_push(&self, entry: &squeue::Entry) -> bool {
        let mut ring = self.ring.borrow_mut();
        // SAFETY: everything the entry points at (a slot's buffer, the wake event's counter, the timer's timespec) is
        // owned by this ring and kept until the entry's completion.
        unsafe { ring.submission().push(entry) }.is_ok()
    }

    /// Queues a request that found no room, or that must not overtake others waiting.
    #[cold]
    fn push_later(&self, entry: squeue::Entry) {
        let is_alone = self.backlog.borrow().is_empty();
        self.backlog.borrow_mut().push_back(entry);
        if is_alone {
            self.push_backlog();
        }
    }

    /// Moves waiting requests into the submission queue, submitting what is queued to make room.
    fn push_backlog(&self) {
        let mut backlog = self.backlog.borrow_mut();
        while let Some(entry) = backlog.front() {
            if !self.try_push(entry) {
                // If this fails the completion queue is full: reap first, the backlog goes out next turn.
                if self.ring.borrow_mut().submit().is_err() || !self.try_push(entry) {
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
    pub(crate) fn statistics(&self) -> crate::Statistics {
        let buffers = self.buffers.borrow();
        let counters = &self.counters;
        crate::Statistics {
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
            ..crate::Statistics::default()
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
