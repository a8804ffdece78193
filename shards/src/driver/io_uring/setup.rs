//! Creates a ring, and ends one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use super::config::{RingConfig, ring_builder};
use super::memory::Fixed;
use super::ring::{Counters, Ring, WakeEvent};
use super::slots::Slots;
use super::timer::Timer;
use super::uring::Uring;
use crate::message::inbox::Inbox;
use crate::net::buffer_pool::BufferPool;

/// How long the end of a ring waits for the kernel to cancel operations in flight.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the end of a ring submits requests and takes completions; each round may cause the next.
const CLOSING_ROUNDS_MAX: usize = 64;

impl Ring {
    /// Creates the ring of the calling thread, the only one that may use it.
    ///
    /// # Errors
    ///
    /// The kernel refused; the builder adds the remedy to its error.
    pub(crate) fn new(config: RingConfig, inbox: &Inbox) -> io::Result<Rc<Self>> {
        let ring = ring_builder()
            .setup_cqsize(config.completion_entries())
            .build(config.submission_entries)?;
        let uring = Uring::new(
            ring,
            config.receive_buffers,
            config.receive_buffer_bytes,
            CANCEL_TIMEOUT,
        )?;
        let wake_event = WakeEvent {
            descriptor: inbox.wake_event().as_raw_fd(),
            counter: Fixed::new(Cell::new(0)),
            armed: Cell::new(false),
        };
        Ok(Rc::new(Self {
            uring,
            streams: RefCell::new(Slots::new()),
            listeners: RefCell::new(Slots::new()),
            pending_connects: RefCell::new(Slots::new()),
            parked: RefCell::new(VecDeque::new()),
            plain_receives: Cell::new(0),
            backlog: RefCell::new(VecDeque::new()),
            completions: RefCell::new(Vec::new()),
            pool: BufferPool::default(),
            timer: Timer::new(),
            wake_event,
            config,
            counters: Counters::default(),
            #[cfg(test)]
            captured: RefCell::new(None),
        }))
    }
}

impl Drop for Ring {
    /// Ends every operation before its memory is freed; if the kernel does not confirm that in time, the memory is
    /// leaked.
    ///
    /// Every handle is gone, so each socket is closing. Descriptors whose close is not queued are closed with their slots.
    fn drop(&mut self) {
        self.finish_closing();
        if self.uring.cancel().is_ok() {
            // What was cancelled just now completes, and closes its socket.
            self.finish_closing();
        }
        // Last, because no request may follow it: from here on, memory is freed.
        if !self.uring.end() {
            self.keep_memory();
        }
    }
}

impl Ring {
    /// Submits what is queued and takes completions, until neither leads to the other. A queued close owns a
    /// descriptor, and so does the completion of an accept.
    fn finish_closing(&self) {
        for _ in 0..CLOSING_ROUNDS_MAX {
            self.push_backlog();
            let submitted = self.uring.ring.borrow_mut().submit();
            self.dispatch();
            let is_empty = self.backlog.borrow().is_empty() && self.uring.ring.borrow_mut().submission().is_empty();
            if submitted.is_err() || is_empty {
                return;
            }
        }
    }

    /// Leaks everything the kernel may still write to or read from, except the registered buffers.
    #[expect(
        clippy::mem_forget,
        reason = "freeing memory the kernel still uses would be worse than leaking it"
    )]
    fn keep_memory(&mut self) {
        for (_, stream) in self.streams.get_mut().iter_mut() {
            std::mem::forget(stream.take_kernel_memory());
        }
        for (_, pending) in self.pending_connects.get_mut().iter_mut() {
            std::mem::forget(pending.take_kernel_memory());
        }
        let unused = Fixed::new(Cell::new(0));
        std::mem::forget(std::mem::replace(&mut self.wake_event.counter, unused));
        std::mem::forget(self.timer.take_kernel_memory());
    }
}
