//! An io_uring with its registered receive buffers: the guard that ends every operation before their memory is freed.
//!
//! The end has an order: cancel every operation, take the buffers back, close the ring, free the memory. The kernel
//! dismantles a closed ring later, on a thread of its own, so closing it first would be too late.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use io_uring::IoUring;
use io_uring::types::CancelBuilder;

use super::buffers::{BufferMemory, Buffers};

/// An io_uring and its registered buffers; its drop unregisters them, also while a panic passes.
pub(super) struct Uring {
    // First, so that it is closed before the memory below is freed.
    pub(super) ring: RefCell<IoUring>,
    pub(super) buffers: RefCell<Buffers>,
    pub(super) memory: BufferMemory,
    /// How long the end waits for the kernel to cancel operations in flight.
    cancel_timeout: Duration,
    /// Whether the kernel has released all memory, once it has been asked.
    has_released: Option<bool>,
}

impl Uring {
    /// Registers `count` buffers of `buffer_bytes` bytes with a ring.
    ///
    /// # Errors
    ///
    /// As [`Buffers::register`].
    pub(super) fn new(ring: IoUring, count: u16, buffer_bytes: u32, cancel_timeout: Duration) -> io::Result<Self> {
        // SAFETY: this value keeps both, and its drop frees them only after `end`, which unregisters the buffers or
        // leaks them.
        let (buffers, memory) = unsafe { Buffers::register(&ring, count, buffer_bytes) }?;
        Ok(Self {
            ring: RefCell::new(ring),
            buffers: RefCell::new(buffers),
            memory,
            cancel_timeout,
            has_released: None,
        })
    }

    /// Cancels every operation in flight, and waits for that.
    ///
    /// # Errors
    ///
    /// Operations are still in flight.
    pub(super) fn cancel(&self) -> io::Result<()> {
        let timeout = io_uring::types::Timespec::from(self.cancel_timeout);
        let ring = self.ring.borrow();
        let cancelled = ring
            .submitter()
            .register_sync_cancel(Some(timeout), CancelBuilder::any().all());
        match cancelled {
            // Nothing was in flight.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            cancelled => cancelled,
        }
    }

    /// Cancels every operation and takes the buffers back; returns whether the kernel has released all memory.
    ///
    /// Otherwise the buffers are leaked, and the caller leaks what else its requests name.
    pub(super) fn end(&mut self) -> bool {
        if let Some(has_released) = self.has_released {
            return has_released;
        }
        // Cancelled first: only then does the kernel release the buffers.
        let cancelled = self.cancel();
        let unregistered = self.buffers.get_mut().unregister(self.ring.get_mut());
        let has_released = cancelled.is_ok() && unregistered.is_ok();
        if !has_released {
            tracing::warn!(
                ?cancelled,
                ?unregistered,
                "leaked the memory of a ring: operations were still in flight"
            );
            self.buffers.get_mut().keep_entries();
            self.memory.keep();
        }
        self.has_released = Some(has_released);
        has_released
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        self.end();
    }
}
