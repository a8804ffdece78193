//! A test that the driver loses no end, although the kernel does; `shards/tests/lost_end.rs` shows the kernel's fault.
//!
//! It uses `IORING_RECVSEND_POLL_FIRST`, with which a receive waits before it reads, so that the race happens every
//! time.

use std::future::poll_fn;
use std::time::Duration;

use self::ended::{ENDINGS, PeerEnding, ended};
use super::poll_first::POLL_FIRST;
use super::ring_builder;
use crate::testing::skip::skip;
use crate::{Builder, Driver, Stream, timeout_at};

/// The same sockets as those of the kernel's test.
#[path = "../../../tests/common/ended.rs"]
mod ended;

/// How long an end that is not lost may take; it is there before the receive is.
const PATIENCE: Duration = Duration::from_millis(200);

/// More than one buffer holds.
const BYTES: usize = 10_000;

/// Returns whether a ring can be created; under a seccomp filter there is nothing to test, and it is skipped.
fn has_ring() -> bool {
    let ring = ring_builder().build(8);
    let forbidden = ring.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
    if forbidden {
        skip("io_uring is forbidden here");
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
