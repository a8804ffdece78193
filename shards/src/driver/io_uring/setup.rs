//! Creates a ring, and ends one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use io_uring::IoUring;
use io_uring::types::CancelBuilder;

use super::buffers::Buffers;
use super::slots::Slots;
use super::timer::Timer;
use super::{Counters, Ring, WakeEvent};
use crate::message::inbox::Inbox;
use crate::net::buffer_pool::BufferPool;
use crate::start::preflight::Needs;

/// The settings of a ring, checked by the builder.
#[derive(Debug, Clone)]
pub(crate) struct RingConfig {
    /// Entries of the submission queue; the completion queue has [`COMPLETIONS_PER_SUBMISSION`] times as many.
    pub(crate) submission_entries: u32,
    /// The number of provided receive buffers, a power of two.
    pub(crate) receive_buffers: u16,
    pub(crate) receive_buffer_bytes: u32,
    /// How many received buffers one connection may hold before its receive is paused.
    pub(crate) receive_buffers_per_stream_max: u16,
    /// How long the ring is polled before the thread sleeps in it.
    pub(crate) spin: Duration,
}

/// The defaults for a server; the builder's documentation gives the reasons.
impl Default for RingConfig {
    fn default() -> Self {
        Self {
            submission_entries: 1024,
            receive_buffers: 1024,
            receive_buffer_bytes: 4096,
            receive_buffers_per_stream_max: 16,
            spin: Duration::ZERO,
        }
    }
}

/// Returns a ring builder with the driver's flags: one thread enters the ring, and the kernel's share of the work runs
/// inside that thread's calls, announced by a flag. The doctor and the preflight use it too.
pub(crate) fn ring_builder() -> io_uring::Builder {
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
    builder
}

impl RingConfig {
    /// Returns the needs for the preflight to check.
    pub(crate) fn needs(&self, shards: NonZeroUsize) -> Needs {
        Needs {
            shards,
            submission_entries: self.submission_entries,
            completion_entries: self.completion_entries(),
            connections: CONNECTIONS_EXPECTED,
        }
    }

    fn completion_entries(&self) -> u32 {
        self.submission_entries.saturating_mul(COMPLETIONS_PER_SUBMISSION)
    }
}

/// How many connections a process is expected to serve; the preflight warns if fewer files may be open.
const CONNECTIONS_EXPECTED: u64 = 10_000;

/// Completion entries per submission entry. 4: multishot operations complete many times per submission, and
/// measurements need at least 4.
const COMPLETIONS_PER_SUBMISSION: u32 = 4;

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
        let cancelled = ring
            .submitter()
            .register_sync_cancel(Some(timeout), CancelBuilder::any().all());
        let unregistered = self.buffers.get_mut().unregister(&ring.submitter());
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
