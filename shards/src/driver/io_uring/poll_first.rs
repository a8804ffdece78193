//! The flag `IORING_RECVSEND_POLL_FIRST`, with which the tests of [`lost_end`](super::lost_end) force a race.

use std::cell::Cell;

use io_uring::squeue;

thread_local! {
    /// Whether the receives of this thread's ring wait before they read.
    pub(super) static POLL_FIRST: Cell<bool> = const { Cell::new(false) };
}

/// Adds the flag to a receive if this thread's test wants it.
pub(super) fn poll_first_if_wanted(receive: squeue::Entry) -> squeue::Entry {
    if POLL_FIRST.get() { poll_first(receive) } else { receive }
}

/// Makes a receive wait before it reads; the io-uring crate has no method for that.
fn poll_first(mut receive: squeue::Entry) -> squeue::Entry {
    const IORING_RECVSEND_POLL_FIRST: u16 = 1;
    /// The offset of `ioprio` in `struct io_uring_sqe`, after one byte for the operation and one for flags.
    const IOPRIO_BYTES: usize = 2;
    let start = (&raw mut receive).cast::<u8>();
    // SAFETY: an entry is a `struct io_uring_sqe` of the kernel, 64 bytes, so the offset lies inside it.
    let ioprio = unsafe { start.add(IOPRIO_BYTES) }.cast::<u16>();
    // SAFETY: the two bytes are initialised, inside an entry that this function owns. They are aligned, as the entry is
    // for its 64-bit fields. Any value is a valid one.
    unsafe { *ioprio |= IORING_RECVSEND_POLL_FIRST };
    receive
}
