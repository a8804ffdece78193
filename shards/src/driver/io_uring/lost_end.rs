//! Tests of a kernel bug: a multishot receive that starts to wait while bytes and an end are both there reports only
//! the bytes.
//!
//! The driver therefore looks at the socket once (`may_have_lost_its_end` in `streams::ends`). The first test reports
//! which ends this kernel loses, so that a fixed kernel is noticed. The second test fails if the driver loses one.
//!
//! Both use `IORING_RECVSEND_POLL_FIRST`, with which a receive waits before it reads, so that the race happens every
//! time.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use socket2::SockRef;

use super::buffers::{Buffers, GROUP};
use super::ring_builder;
use crate::{Builder, Driver, Stream, timeout_at};

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

/// How a client ends the connection after its bytes.
#[derive(Debug, Clone, Copy)]
enum PeerEnding {
    TcpEnd,
    TcpReset,
    UnixEnd,
    UnixClose,
}

const ENDINGS: [PeerEnding; 4] = [
    PeerEnding::TcpEnd,
    PeerEnding::TcpReset,
    PeerEnding::UnixEnd,
    PeerEnding::UnixClose,
];

/// Returns a socket with `bytes` bytes and an end behind them, and the client if it stays open.
fn ended(ending: PeerEnding, bytes: usize) -> (OwnedFd, Option<UnixStream>) {
    let bytes = vec![b'x'; bytes];
    match ending {
        PeerEnding::TcpEnd | PeerEnding::TcpReset => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.write_all(&bytes).unwrap();
            if matches!(ending, PeerEnding::TcpReset) {
                SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            }
            let (socket, _) = listener.accept().unwrap();
            drop(client);
            (socket.into(), None)
        }
        PeerEnding::UnixEnd | PeerEnding::UnixClose => {
            let (socket, mut client) = UnixStream::pair().unwrap();
            client.write_all(&bytes).unwrap();
            if matches!(ending, PeerEnding::UnixEnd) {
                client.shutdown(Shutdown::Write).unwrap();
                return (socket.into(), Some(client));
            }
            (socket.into(), None)
        }
    }
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

/// Returns whether a bare multishot receive reports the end behind bytes that are there before it is armed.
fn kernel_tells(ending: PeerEnding) -> bool {
    let (socket, _client) = ended(ending, 10);
    let mut ring: IoUring = ring_builder().build(8).unwrap();
    let (buffers, _memory) = Buffers::register(&ring, 4, 4096).unwrap();
    let receive = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), GROUP).build();
    // SAFETY: the descriptor is open and the buffers are registered until the receive has been cancelled below.
    unsafe { ring.submission().push(&poll_first(receive)) }.unwrap();
    let patience = Timespec::from(PATIENCE);
    let wait = SubmitArgs::new().timespec(&patience);
    let (mut bytes, mut told) = (0, false);
    while !told && ring.submitter().submit_with_args(1, &wait).is_ok() {
        for completion in ring.completion() {
            bytes += usize::try_from(completion.result()).unwrap_or(0);
            told |= !cqueue::more(completion.flags());
        }
    }
    assert_eq!(bytes, 10, "{ending:?}: the bytes themselves are reported");
    let all = CancelBuilder::any().all();
    let cancelled = ring.submitter().register_sync_cancel(Some(patience), all);
    assert!(told || cancelled.is_ok(), "{ending:?}: {cancelled:?}");
    buffers.unregister(&ring.submitter()).unwrap();
    told
}

#[test]
fn the_ends_this_kernel_loses_are_reported() {
    if !has_ring() {
        return;
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    for ending in ENDINGS {
        match kernel_tells(ending) {
            true => eprintln!("Linux {release}: {ending:?} behind bytes is reported: never lost, or fixed"),
            false => eprintln!("Linux {release}: {ending:?} behind bytes is lost by a multishot receive"),
        }
    }
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
