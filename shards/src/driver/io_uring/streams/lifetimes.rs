//! A test that the memory of each request lives until its completion. No kernel takes part: the ring only records its
//! requests, and the test makes the completions.

use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use socket2::{Domain, SockAddr, Socket, Type};

use super::StreamSocket;
use crate::driver::io_uring::operation::Operation;
use crate::driver::io_uring::ring::SharedRing;
use crate::driver::io_uring::{Connecting, Ring, RingConfig};
use crate::message::inbox::Inbox;
use crate::net::send_buffer::SendBuffer;
use crate::shard::id::ShardId;
use crate::testing::skip::skip;

/// Returns a ring that records its requests; `None`, and skipped, where io_uring is forbidden.
fn ring() -> Option<SharedRing> {
    let inbox = Inbox::new(ShardId::FIRST).unwrap();
    let config = RingConfig {
        receive_buffers: 8,
        ..RingConfig::default()
    };
    let ring = Ring::new(config, &inbox)
        .inspect_err(|error| skip(format!("this machine has or allows no ring: {error}")))
        .ok()?;
    ring.captured.replace(Some(Vec::new()));
    Some(ring)
}

/// Takes the operations of the requests so far.
fn requested(ring: &Ring) -> Vec<Operation> {
    let requests = ring.captured.replace(Some(Vec::new())).unwrap_or_default();
    let operations = requests.iter().filter_map(|request| Some(request.token()?.operation));
    operations.collect()
}

/// Bytes that count themselves while they live.
struct Counted(Arc<AtomicUsize>, Vec<u8>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn counted(alive: &Arc<AtomicUsize>) -> Bytes {
    alive.fetch_add(1, Ordering::Relaxed);
    Bytes::from_owner(Counted(Arc::clone(alive), vec![b'x'; 100]))
}

#[test]
fn the_bytes_of_a_send_live_until_its_completion_even_if_its_stream_is_dropped() {
    let Some(ring) = ring() else { return };
    let alive = Arc::<AtomicUsize>::default();
    let sends: [fn(&Arc<AtomicUsize>) -> SendBuffer; 2] = [
        |alive| SendBuffer::from(counted(alive)),
        |alive| SendBuffer::from(vec![counted(alive), counted(alive)]),
    ];
    for send in sends {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let stream = StreamSocket::new(&ring, socket.into());
        stream.start_send(send(&alive)).unwrap();
        let parts = alive.load(Ordering::Relaxed);
        assert_eq!(requested(&ring), [Operation::Send]);
        // A part was sent; the rest is requested, from the same memory.
        let key = stream.key;
        ring.sent(key, 60);
        assert_eq!(requested(&ring), [Operation::Send]);
        drop(stream);
        assert_eq!(requested(&ring), [Operation::Ignored], "the send is cancelled");
        assert_eq!(alive.load(Ordering::Relaxed), parts, "the kernel may still read them");
        ring.sent(key, -libc::ECANCELED);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
        assert_eq!(requested(&ring), [Operation::Close]);
        assert_eq!(ring.open_sockets(), 1, "the slot lives until the close completes");
        ring.closed(key);
        assert_eq!(ring.open_sockets(), 0);
    }
}

#[test]
fn the_header_of_a_send_in_parts_stays_in_place_while_slots_move() {
    use crate::driver::io_uring::send::SendMemory;
    let Some(ring) = ring() else { return };
    let header = |stream: &StreamSocket| {
        let mut streams = ring.streams.borrow_mut();
        let in_flight = streams.find(stream.key).unwrap().in_flight.as_mut().unwrap();
        match in_flight.memory() {
            SendMemory::Message(header) => header,
            SendMemory::Bytes { .. } => panic!("a send in parts has a header"),
        }
    };
    let open = || {
        let (socket, _peer) = UnixStream::pair().unwrap();
        StreamSocket::new(&ring, socket.into())
    };
    let first = open();
    let alive = Arc::default();
    first
        .start_send(SendBuffer::from(vec![counted(&alive), counted(&alive)]))
        .unwrap();
    let address = header(&first);
    let others: Vec<_> = (0..64).map(|_| open()).collect();
    assert_eq!(header(&first), address);
    drop(others);
}

#[test]
fn the_buffer_of_a_plain_receive_lives_until_its_completion() {
    let Some(ring) = ring() else { return };
    let (socket, _peer) = UnixStream::pair().unwrap();
    let stream = StreamSocket::new(&ring, socket.into());
    let key = stream.key;
    {
        let mut streams = ring.streams.borrow_mut();
        ring.arm_plain_receive(key, streams.find(key).unwrap());
    }
    assert_eq!(requested(&ring), [Operation::ReceivePlain]);
    drop(stream);
    assert_eq!(requested(&ring), [Operation::Ignored], "the receive is cancelled");
    let has_buffer = || {
        let mut streams = ring.streams.borrow_mut();
        streams.find(key).unwrap().plain.is_some()
    };
    assert!(has_buffer(), "the kernel may still write to it");
    ring.received_plain(key, -libc::ECANCELED);
    assert!(!has_buffer());
    assert_eq!(requested(&ring), [Operation::Close]);
}

#[test]
fn the_address_of_a_connect_lives_until_its_completion() {
    let Some(ring) = ring() else { return };
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let connecting = Connecting::new(&ring, socket.into(), SockAddr::unix("/nowhere").unwrap());
    let requests = ring.captured.replace(Some(Vec::new())).unwrap();
    let key = requests[0].token().unwrap().slot;
    drop(connecting);
    assert_eq!(requested(&ring), [Operation::Ignored], "the connect is cancelled");
    assert_eq!(ring.open_sockets(), 1, "the kernel may still read the address");
    ring.connected(key, -libc::ECANCELED);
    assert_eq!(ring.open_sockets(), 0);
}

#[test]
fn a_descriptor_whose_close_was_queued_is_closed_with_its_ring() {
    let Some(ring) = ring() else { return };
    ring.captured.replace(None);
    let (socket, peer) = UnixStream::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    drop(StreamSocket::new(&ring, socket.into()));
    assert_eq!(Rc::strong_count(&ring), 1);
    drop(ring);
    assert_eq!(
        std::io::Read::read(&mut &peer, &mut [0; 1]).unwrap(),
        0,
        "the peer sees the end"
    );
}
