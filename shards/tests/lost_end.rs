//! A kernel bug, shown by raw system calls. A multishot receive that starts to wait while bytes and an end are both
//! there reports only the bytes.
//!
//! The driver looks at each socket once because of it (`may_have_lost_its_end` in `streams::ends`). The test says which
//! ends this kernel loses, so that a mended kernel is noticed, and the look can go.

#![expect(unsafe_code, reason = "a ring of the test's own, driven by raw system calls")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed test panics"
)]

#[path = "common/ended.rs"]
mod ended;
#[path = "common/skip.rs"]
mod skip;

use std::os::fd::AsRawFd as _;
use std::time::Duration;

use ended::{ENDINGS, PeerEnding, ended};
use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

/// How long an end that is not lost may take; it is there before the receive is.
const TIME_LIMIT: Duration = Duration::from_millis(200);

/// The group of the buffers that the ring receives into.
const GROUP: u16 = 0;

/// The bytes before the end.
const BYTES: usize = 10;

/// Makes a receive wait before it reads, so that the race happens every time; the io-uring crate has no method for it.
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

/// Returns whether a bare multishot receive reports the end behind bytes that are there before it is armed.
fn kernel_reports(ending: PeerEnding, ring: &mut IoUring) -> bool {
    let (socket, _client) = ended(ending, BYTES);
    let mut buffers = [0_u8; 4 * 64];
    let provide = opcode::ProvideBuffers::new(buffers.as_mut_ptr(), 64, 4, GROUP, 0).build();
    // SAFETY: `buffers` is alive and unused until the receive has been cancelled below.
    unsafe { ring.submission().push(&provide) }.unwrap();
    ring.submit_and_wait(1).unwrap();
    let provided = ring.completion().map(|completion| completion.result());
    assert_eq!(provided.collect::<Vec<_>>(), [0]);

    let receive = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), GROUP).build();
    // SAFETY: the descriptor is open and the buffers are provided until the receive has been cancelled below.
    unsafe { ring.submission().push(&poll_first(receive)) }.unwrap();
    let limit = Timespec::from(TIME_LIMIT);
    let wait = SubmitArgs::new().timespec(&limit);
    let (mut received, mut is_reported) = (0, false);
    while !is_reported && ring.submitter().submit_with_args(1, &wait).is_ok() {
        for completion in ring.completion() {
            received += usize::try_from(completion.result()).unwrap_or(0);
            is_reported |= !cqueue::more(completion.flags());
        }
    }
    assert_eq!(received, BYTES, "{ending:?}: the bytes themselves are reported");
    let all = CancelBuilder::any().all();
    let cancelled = ring.submitter().register_sync_cancel(Some(limit), all);
    assert!(is_reported || cancelled.is_ok(), "{ending:?}: {cancelled:?}");
    is_reported
}

#[test]
fn says_which_ends_this_kernel_loses() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    for ending in ENDINGS {
        let mut ring = match IoUring::builder().build(8) {
            Ok(ring) => ring,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return skip::skip("io_uring is forbidden here");
            }
            Err(error) => panic!("could not create a ring: {error}"),
        };
        let said = match kernel_reports(ending, &mut ring) {
            true => "is reported: it was never lost, or the kernel is mended",
            false => "is lost by a multishot receive",
        };
        eprintln!("Linux {}: {ending:?} behind bytes {said}", release.trim_end());
    }
}
