//! A test that the driver loses no end, although the kernel does; `shards/tests/lost_end.rs` shows the kernel's fault.
//!
//! It uses `IORING_RECVSEND_POLL_FIRST`, with which a receive waits before it reads, so that the race happens every
//! time.

use std::cell::Cell;
use std::future::poll_fn;
use std::time::Duration;

use io_uring::squeue;

use self::ended::{ENDINGS, PeerEnding, ended};
use super::ring_builder;
use crate::{Builder, Driver, Stream, timeout_at};

/// The same sockets as those of the kernel's test.
#[path = "../../../tests/common/ended.rs"]
mod ended;

/// How long an end that is not lost may take; it is there before the receive is.
const PATIENCE: Duration = Duration::from_millis(200);

/// More than one buffer holds.
const BYTES: usize = 10_000;

thread_local! {
    /// Whether the receives of this thread's ring wait before they read.
    static POLL_FIRST: Cell<bool> = const { Cell::new(false) };
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
    // SAFETY: the two bytes are initialised, inside an entry that this function owns, and aligned, as the entry is for
    // its 64-bit fields; any value is a valid one.
    unsafe { *ioprio |= IORING_RECVSEND_POLL_FIRST };
    receive
}

/// Returns whether a ring can be created; under a seccomp filter there is nothing to test.
fn has_ring() -> bool {
    let ring = ring_builder().build(8);
    let forbidden = ring.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
    if forbidden {
        eprintln!("skipped: io_uring is forbidden here");
    }
    !forbidden
}

#[test]
fn the_driver_reports_every_end_that_the_kernel_loses() {
    if !has_ring() {
        return;
    }
    let shards = Builder::new()
        .driver(Driver::IoUring)
        .shards(1)
        .receive_buffers(64, 4096);
    let shards = shards.stop_on_signals(false).build().unwrap();
    let tried = shards.run(|_| async {
        POLL_FIRST.set(true);
        for ending in ENDINGS {
            for bytes in [1, 4096, BYTES] {
                let (socket, _client) = ended(ending, bytes);
                let stream = Stream::from_socket(socket);
                let began = crate::clock::now();
                let mut received = 0;
                let end = loop {
                    let receive = poll_fn(|cx| stream.poll_receive(cx));
                    match timeout_at(crate::clock::after(PATIENCE), receive).await {
                        Some(Ok(Some(more))) => received += more.len(),
                        Some(Ok(None)) => break Some(true),
                        Some(Err(_)) => break Some(false),
                        None => break None,
                    }
                };
                assert_eq!(received, bytes, "{ending:?}");
                let ends_well = !matches!(ending, PeerEnding::TcpReset);
                assert_eq!(end, Some(ends_well), "{ending:?} behind {bytes} bytes is reported");
                assert!(
                    crate::clock::now() - began < PATIENCE,
                    "{ending:?} behind {bytes} bytes is reported promptly"
                );
            }
        }
        Ok(())
    });
    tried.unwrap();
}
