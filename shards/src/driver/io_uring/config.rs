//! The settings of a ring, and the flags of every ring.

use std::time::Duration;

use io_uring::IoUring;

/// Completion entries per submission entry. 4: multishot operations complete many times per submission, and
/// measurements need at least 4.
const COMPLETIONS_PER_SUBMISSION: u32 = 4;

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

impl RingConfig {
    /// Returns the entries of the completion queue.
    pub(crate) fn completion_entries(&self) -> u32 {
        self.submission_entries.saturating_mul(COMPLETIONS_PER_SUBMISSION)
    }
}

/// The flags of [`ring_builder`], without TASKRUN_FLAG, which is older than both.
pub(crate) const SETUP_FLAGS: &str = "SINGLE_ISSUER and DEFER_TASKRUN";

/// Returns a ring builder with the driver's flags. One thread enters the ring. The kernel's share of the work runs
/// inside that thread's calls, announced by a flag. The doctor and the preflight use it too.
pub(crate) fn ring_builder() -> io_uring::Builder {
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
    builder
}
