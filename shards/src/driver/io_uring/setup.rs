//! Creates a ring, and ends one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use io_uring::types::CancelBuilder;

use super::buffers::Buffers;
use super::config::{RingConfig, ring_builder};
use super::ring::{Counters, Ring, WakeEvent};
use super::slots::Slots;
use super::timer::Timer;
use crate::message::inbox::Inbox;
use crate::net::buffer_pool::BufferPool;

/// How long the end of a ring waits for the kernel to cancel operations in flight.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

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
        let (buffers, memory) = Buffers::register(&ring, config.receive_buffers, config.receive_buffer_bytes)?;
        let wake_event = WakeEvent {
            descriptor: inbox.wake_event().as_raw_fd(),
            counter: Box::new(Cell::new(0)),
            armed: Cell::new(false),
        };
        Ok(Rc::new(Self {
            ring: RefCell::new(ring),
            buffers: RefCell::new(buffers),
            memory,
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
        }))
    }
}

impl Drop for Ring {
    /// Ends every operation before its memory is freed; if the kernel does not confirm that in time, the memory is
    /// leaked.
    fn drop(&mut self) {
        let ring = self.ring.get_mut();
        let timeout = io_uring::types::Timespec::from(CANCEL_TIMEOUT);
        // Cancelled first: only then does the kernel release the buffers.
        let cancelled = ring
            .submitter()
            .register_sync_cancel(Some(timeout), CancelBuilder::any().all());
        let unregistered = self.buffers.get_mut().unregister(&ring.submitter());
        // Closed even if the cancel failed: a descriptor is safe to close while a request still holds the file.
        let descriptors: Vec<_> = self
            .streams
            .get_mut()
            .iter_mut()
            .filter_map(|(_, stream)| stream.take_descriptor())
            .collect();
        drop(descriptors);
        let nothing_to_cancel = cancelled
            .as_ref()
            .is_err_and(|error| error.raw_os_error() == Some(libc::ENOENT));
        if (cancelled.is_ok() || nothing_to_cancel) && unregistered.is_ok() {
            return;
        }
        tracing::warn!(
            ?cancelled,
            ?unregistered,
            "leaked the memory of a ring: operations were still in flight"
        );
        self.keep_memory();
    }
}

impl Ring {
    /// Leaks everything the kernel may still write to or read from.
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
        self.buffers.get_mut().keep_entries();
        self.memory.keep();
        std::mem::forget(std::mem::take(&mut self.wake_event.counter));
        std::mem::forget(self.timer.take_kernel_memory());
    }
}
