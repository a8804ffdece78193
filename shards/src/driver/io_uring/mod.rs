//! The io_uring driver: a shard's own ring, through which all of its sockets go and in which it sleeps. glommio runs the thread's
//! executor beside it.
//!
//! Set up with `SINGLE_ISSUER | DEFER_TASKRUN`: only the shard's thread enters the ring, and the kernel does its part of the work
//! inside our `io_uring_enter`, not between our instructions. `TASKRUN_FLAG` tells us whether there is such work, because an
//! enter that asks for no minimum does at most twenty pieces of it and leaves the rest.
//!
//! ```text
//!        accept, receive (multishot)          sends, queued during a turn
//!   kernel ──────────────────────► turn ─────────────────────────────► kernel
//!                                   │  one io_uring_enter a turn
//!                   wakes tasks ◄───┘
//! ```
//!
//! The file order of a byte's way: [`turn`] (completions out of the ring) → [`operation`] (whose?) → [`streams`] (into the slot,
//! wake the task) → [`received`] (what the task is handed). [`buffers`] is the pool the kernel receives into, [`send`] what it
//! sends from, [`listeners`] and [`connect`] where sockets come from.
//!
//! This folder is one of the two places where the workspace allows `unsafe`: memory shared with the kernel.

mod buffers;
mod connect;
mod listeners;
#[cfg(test)]
mod lost_end;
mod memory;
mod operation;
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

pub(crate) use connect::Connecting;
pub(crate) use listeners::ListenerSocket;
pub(crate) use probe::probe_multishot;
pub(crate) use received::Received;
pub(crate) use setup::{RingConfig, ring_builder};
pub(crate) use streams::StreamSocket;

/// One shard's ring and everything that lives in it.
pub(crate) struct Ring {
    // First, so that it is dropped first: closing the ring ends every operation before the memory they use goes.
    ring: RefCell<IoUring>,
    buffers: RefCell<Buffers>,
    memory: BufferMemory,
    streams: RefCell<Slots<StreamState>>,
    listeners: RefCell<Slots<ListenerState>>,
    /// Sockets that are to become streams.
    pending_connects: RefCell<Slots<PendingConnect>>,
    /// Streams whose receive ended for want of a buffer, first come first served.
    parked: RefCell<VecDeque<SlotKey>>,
    /// How many receives into memory of a stream's own are on their way.
    plain_receives: Cell<usize>,
    /// Requests that did not fit the submission queue; sent before any other.
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

/// What the ring counts; summed into [`Statistics`](crate::Statistics).
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
    /// Queues a request; it goes to the kernel with the next `io_uring_enter`. Inlined, so that the request is written where the kernel
    /// reads it, and not twice.
    #[inline]
    fn push(&self, entry: squeue::Entry) {
        if !self.backlog.borrow().is_empty() || !self.try_push(&entry) {
            self.push_later(entry);
        }
    }

    /// Queues a request if there is room.
    #[inline]
    fn try_push(&self, entry: &squeue::Entry) -> bool {
        let mut ring = self.ring.borrow_mut();
        // SAFETY: whatever the entry points at (a slot's buffer, the doorbell's counter, the timer's timespec) is owned by this
        // ring and kept until the entry's completion has come in.
        unsafe { ring.submission().push(entry) }.is_ok()
    }

    /// Queues a request that found no room, or that must not overtake others that found none.
    #[cold]
    fn push_later(&self, entry: squeue::Entry) {
        let is_alone = self.backlog.borrow().is_empty();
        self.backlog.borrow_mut().push_back(entry);
        if is_alone {
            self.push_backlog();
        }
    }

    /// Moves what did not fit into the submission queue, making room by submitting what is queued.
    fn push_backlog(&self) {
        let mut backlog = self.backlog.borrow_mut();
        while let Some(entry) = backlog.front() {
            if !self.try_push(entry) {
                // Where it fails, the completion queue is full: reap first, the backlog goes out next turn.
                if self.ring.borrow_mut().submit().is_err() || !self.try_push(entry) {
                    break;
                }
            }
            backlog.pop_front();
        }
    }

    /// The spare output buffers of the shard.
    pub(crate) fn pool(&self) -> &BufferPool {
        &self.pool
    }

    /// How many sockets there are beside the listeners.
    pub(crate) fn open_sockets(&self) -> usize {
        self.streams.borrow().len() + self.pending_connects.borrow().len()
    }

    /// What this ring has counted and holds.
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
