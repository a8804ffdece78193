//! Sockets of a shard: bytes arrive whole and in order over every kind of socket. Dropped, reset and half-closed
//! connections leave nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests and their clients, which are threads outside the shards"
)]

mod common;

use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use squall_shards::{
    BoxError, Driver, InheritedListener, Listeners, PeerAddress, SEND_PARTS_MAX, SendBuffer, Shard, Stream, clock,
    spawn_detached,
};

use common::{
    PATIENCE, RunningShards, SocketPath, builder, child_role, echo, in_child, open_descriptors, pattern, poll_once,
    time_limit,
};

fn localhost() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn echo_server(count: usize) -> (RunningShards, SocketAddr) {
    let listeners = Listeners::bind_tcp(localhost(), count).unwrap();
    let address = listeners.tcp_address().unwrap();
    (
        RunningShards::serving(builder(count).build().unwrap(), listeners, echo),
        address,
    )
}

/// Starts one shard whose main function gets a connected stream; returns the client's end.
fn with_stream<F>(main: impl Fn(Stream) -> F + Clone + Send + Sync + 'static) -> (RunningShards, TcpStream)
where
    F: Future<Output = Result<(), BoxError>> + 'static,
{
    let listeners = Listeners::bind_tcp(localhost(), 1).unwrap();
    let client = connect(listeners.tcp_address().unwrap());
    let running = RunningShards::start(builder(1).build().unwrap(), move |_| {
        let (listeners, main) = (listeners.clone(), main.clone());
        async move {
            let stream = listeners.open().unwrap().accept().await?;
            main(stream).await
        }
    });
    (running, client)
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Ends a connection with a reset instead of an end of file.
fn reset(client: TcpStream) {
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Receives everything up to the end of the peer's half.
async fn receive_all(stream: &Stream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(received) = stream.receive().await? {
        bytes.extend_from_slice(&received);
    }
    Ok(bytes)
}

/// Receives `count` bytes.
async fn receive_all_of(stream: &Stream, count: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let received = stream.receive().await?.ok_or(ErrorKind::UnexpectedEof)?;
        bytes.extend_from_slice(&received);
    }
    Ok(bytes)
}

trait ByteStream: Read + Write {}
impl<T: Read + Write> ByteStream for T {}

#[test]
fn bytes_come_back_over_every_kind_of_socket() {
    let _limit = time_limit();
    let path = SocketPath::new("echo");
    let tcp: [SocketAddr; 2] = [localhost(), (Ipv6Addr::LOCALHOST, 0).into()];
    for kind in ["v4", "v6", "unix"] {
        let listeners = match kind {
            "v4" => Listeners::bind_tcp(tcp[0], 2),
            "v6" if TcpListener::bind(tcp[1]).is_err() => continue, // a host without IPv6
            "v6" => Listeners::bind_tcp(tcp[1], 2),
            _ => Listeners::bind_unix(path.as_path(), 0o600, 2),
        };
        let listeners = listeners.unwrap();
        let address = listeners.tcp_address();
        let running = RunningShards::serving(builder(2).build().unwrap(), listeners, echo);
        for _ in 0..8 {
            let mut client: Box<dyn ByteStream> = match address {
                Some(address) => Box::new(connect(address)),
                None => Box::new(UnixStream::connect(path.as_path()).unwrap()),
            };
            for length in [1, 4096, 4097, 30_000] {
                let sent = pattern(length);
                client.write_all(&sent).unwrap();
                let mut received = vec![0; length];
                client.read_exact(&mut received).unwrap();
                assert!(received == sent, "{kind}, {length} bytes");
            }
        }
        running.stop().unwrap();
    }
}

#[test]
fn a_stream_knows_its_peer() {
    let _limit = time_limit();
    let (running, client) = with_stream(|stream| async move {
        let PeerAddress::Tcp(peer) = stream.peer_address()? else {
            panic!("a TCP peer");
        };
        stream.send(peer.to_string().into_bytes()).await?;
        Ok(stream.flush().await?)
    });
    let mut told = String::new();
    let address = client.local_addr().unwrap();
    (&client).read_to_string(&mut told).unwrap();
    assert_eq!(told, address.to_string());
    running.join().unwrap();
}

#[test]
fn either_side_may_close_its_half_and_still_receive() {
    let _limit = time_limit();
    let (running, mut client) = with_stream(|stream| async move {
        assert_eq!(receive_all(&stream).await?, b"question");
        assert!(stream.receive().await?.is_none(), "the end is reported again");
        stream.send(b"answer".to_vec()).await?;
        Ok(stream.flush().await?)
    });
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");
    running.join().unwrap();

    let (running, mut client) = with_stream(|stream| async move {
        stream.send(b"first".to_vec()).await?;
        stream.flush().await?;
        stream.shutdown_write()?;
        assert_eq!(receive_all(&stream).await?, b"afterwards");
        Ok(())
    });
    let mut first = Vec::new();
    client.read_to_end(&mut first).unwrap();
    assert_eq!(first, b"first");
    client.write_all(b"afterwards").unwrap();
    drop(client);
    running.join().unwrap();
}

/// Returns the bytes of a pattern in pieces.
fn in_pieces(length: usize, piece: usize) -> SendBuffer {
    let whole = Bytes::from(pattern(length));
    let parts: Vec<_> = (0..length)
        .step_by(piece)
        .flat_map(|start| [whole.slice(start..(start + piece).min(length)), Bytes::new()])
        .collect();
    assert!(parts.len() > SEND_PARTS_MAX);
    parts.into()
}

/// The kernel takes far less at a time than is sent here, so every buffer is sent in many pieces.
#[test]
fn a_slow_reader_gets_every_byte_of_every_kind_of_buffer() {
    const MIB: usize = 1 << 20;
    type MakeBuffer = fn(usize) -> SendBuffer;
    let _limit = time_limit();
    let kinds: [(usize, MakeBuffer); 5] = [
        (MIB, |length| pattern(length).into()),
        (20 * MIB, |length| pattern(length).into()),
        (20 * MIB, |length| Bytes::from(pattern(length)).into()),
        (20 * MIB, |length| in_pieces(length, 4999)),
        (MIB / 8, |length| in_pieces(length, 7)),
    ];
    for (length, buffer) in kinds {
        let (running, mut client) = with_stream(move |stream| async move {
            stream.send(buffer(length)).await?;
            stream.send(b"end".to_vec()).await?;
            stream.flush().await?;
            assert_eq!(stream.sent_bytes(), length as u64 + 3);
            Ok(())
        });
        SockRef::from(&client).set_recv_buffer_size(256 * 1024).unwrap();
        let mut received = Vec::with_capacity(length + 3);
        let mut piece = vec![0; 100_003];
        loop {
            match client.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => received.extend_from_slice(&piece[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
            }
            thread::yield_now();
        }
        assert_eq!(received.len(), length + 3);
        assert!(
            received.starts_with(&pattern(length)),
            "{length} bytes are not those sent"
        );
        assert!(received.ends_with(b"end"));
        running.join().unwrap();
    }
}

#[test]
fn empty_buffers_are_sent_at_once() {
    let _limit = time_limit();
    let (running, mut client) = with_stream(|stream| async move {
        for empty in [
            SendBuffer::from(Vec::<u8>::new()),
            Bytes::new().into(),
            Vec::<Bytes>::new().into(),
            vec![Bytes::new(); 3].into(),
        ] {
            assert!(empty.is_empty());
            stream.send(empty).await?;
            stream.flush().await?;
        }
        stream.send(b"x".to_vec()).await?;
        Ok(stream.flush().await?)
    });
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"x");
    running.join().unwrap();
}

#[test]
fn a_reset_that_arrives_with_bytes_is_reported_after_them() {
    static IS_RESET: AtomicBool = AtomicBool::new(false);
    let _limit = time_limit();
    let (running, mut client) = with_stream(|stream| async move {
        assert_eq!(receive_all_of(&stream, 1).await?, b"1");
        stream.send(b"2".to_vec()).await?;
        stream.flush().await?;
        // The receive is armed; bytes and reset arrive together while the shard does not look at its ring.
        while !IS_RESET.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        assert_eq!(receive_all_of(&stream, 3).await?, b"345");
        assert!(stream.receive().await.is_err());
        Ok(())
    });
    client.write_all(b"1").unwrap();
    client.read_exact(&mut [0; 1]).unwrap();
    client.write_all(b"345").unwrap();
    reset(client);
    IS_RESET.store(true, Ordering::Release);
    running.join().unwrap();
}

#[test]
fn a_reset_is_an_error_whether_receiving_or_sending() {
    let _limit = time_limit();
    let (running, client) = with_stream(|stream| async move {
        let error = stream.receive().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(stream.receive().await.is_err(), "the error is reported again");
        Ok(())
    });
    reset(client);
    running.join().unwrap();

    let (running, mut client) = with_stream(|stream| async move {
        stream.send(pattern(20 << 20)).await?;
        let error = stream.flush().await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "{error}"
        );
        assert!(stream.send(b"more".to_vec()).await.is_err());
        assert!(stream.start_send(b"more".to_vec()).is_err());
        Ok(())
    });
    client.read_exact(&mut [0; 1000]).unwrap();
    reset(client);
    running.join().unwrap();
}

/// The progress of a reading peer is visible, in bytes and time, without waking the sending task.
#[test]
fn a_send_reports_how_many_bytes_were_taken_and_when() {
    const LENGTH: usize = 20 << 20;
    let _limit = time_limit();
    let (has_stalled, stalled) = channel();
    let (running, client) = with_stream(move |stream| {
        let has_stalled = has_stalled.clone();
        async move {
            let began = clock::now();
            assert_eq!((stream.sent().bytes, stream.sent().advanced), (0, None));
            stream.send(pattern(LENGTH)).await?;
            // The peer reads nothing yet: the kernels of both ends take what they buffer, then nothing more.
            let mut before = stream.sent();
            common::eventually_here("the kernel takes no more", || {
                let last = std::mem::replace(&mut before, stream.sent());
                before
                    .advanced
                    .is_some_and(|at| clock::now() - at > Duration::from_millis(50))
                    && last == before
            })
            .await;
            assert!(before.bytes < LENGTH as u64 && before.advanced.unwrap() >= began);
            has_stalled.send(()).unwrap();
            common::eventually_here("a part is taken", || stream.sent().bytes > before.bytes).await;
            assert!(stream.is_sending());
            assert!(stream.sent().advanced > before.advanced);
            Ok(())
        }
    });
    stalled.recv().unwrap();
    // Large enough that the send is not complete when the shard looks.
    (&client).read_exact(&mut vec![0; 1 << 20]).unwrap();
    running.join().unwrap();
}

/// Waits until the peer has reset the connection, without reading.
fn await_reset(client: &TcpStream) {
    let mut error = None;
    common::eventually(
        || {
            error = SockRef::from(client).take_error().unwrap();
            error.is_some()
        },
        || "a reset".to_owned(),
    );
    assert_eq!(error.unwrap().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_peer_that_is_given_up_is_reset_unless_it_has_acknowledged_everything() {
    let _limit = time_limit();
    // The peer takes nothing: some of what was sent waits here.
    let (running, client) = with_stream(|stream| async move {
        stream.send(pattern(20 << 20)).await?;
        common::eventually_here("something is sent", || stream.sent_bytes() > 0).await;
        stream.give_up();
        Ok(())
    });
    await_reset(&client);
    running.join().unwrap();

    // Some of what the kernel has taken waits for room at the peer, and the FIN behind it.
    let (running, client) = with_stream(|stream| async move {
        stream.send(pattern(1 << 20)).await?;
        common::eventually_here("more is sent than the peer has room for", || {
            stream.sent_bytes() > 150_000
        })
        .await;
        assert!(stream.unacknowledged_bytes()? > 0);
        stream.shutdown_write()?;
        assert!(stream.unacknowledged_bytes()? > 0);
        stream.give_up();
        Ok(())
    });
    await_reset(&client);
    running.join().unwrap();

    // The peer's kernel has all of it, whether or not the peer has read it.
    for shuts_down in [false, true] {
        let (running, mut client) = with_stream(move |stream| async move {
            stream.send(pattern(10_000)).await?;
            stream.flush().await?;
            if shuts_down {
                stream.shutdown_write()?;
            }
            common::eventually_here("acknowledged", || stream.unacknowledged_bytes().unwrap() == 0).await;
            stream.give_up();
            Ok(())
        });
        running.join().unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert!(received == pattern(10_000));
    }
}

#[test]
fn a_unix_socket_has_acknowledged_what_it_has_read() {
    let _limit = time_limit();
    let running = RunningShards::start(builder(1).build().unwrap(), |_| async move {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stream = Stream::from_socket(OwnedFd::from(ours));
        assert_eq!(stream.unacknowledged_bytes()?, 0);
        stream.send(b"bytes".to_vec()).await?;
        stream.flush().await?;
        assert!(stream.unacknowledged_bytes()? > 0);
        theirs.read_exact(&mut [0; 5])?;
        assert_eq!(stream.unacknowledged_bytes()?, 0);
        Ok(())
    });
    running.join().unwrap();
}

/// The kernel still reads and writes memory of a dropped stream, which lives until it has finished.
#[test]
fn a_stream_may_be_dropped_in_the_middle_of_everything() {
    const SENT: usize = (4 << 20) + 1000;
    let _limit = time_limit();
    let (running, address) = {
        let listeners = Listeners::bind_tcp(localhost(), 1).unwrap();
        let address = listeners.tcp_address().unwrap();
        let running = RunningShards::serving(builder(1).build().unwrap(), listeners, |stream| async move {
            let first = stream.receive().await.unwrap().unwrap();
            let (sends, receives) = (first.contains(&b's'), first.contains(&b'r'));
            if sends {
                let mut first = pattern(SENT);
                let rest = first.split_off(4 << 20);
                stream.send(first).await.unwrap();
                // The first send is in flight, so this one waits and is dropped. Under epoll the kernel may already
                // have taken the first one whole.
                let mut second = pin!(stream.send(rest));
                let waits = poll_once(&mut second).await.is_none();
                assert!(waits || Shard::current().statistics().driver == Driver::Epoll);
            }
            if receives {
                let mut receive = pin!(stream.receive());
                assert!(poll_once(&mut receive).await.is_none());
            }
            // `first`, a buffer of the ring, outlives the stream.
            drop(stream);
            drop(first);
        });
        (running, address)
    };
    let baseline = running.statistics(0);
    for order in ["s", "r", "sr", "-"].iter().cycle().take(200) {
        let mut client = connect(address);
        client.write_all(order.as_bytes()).unwrap();
        // The connection ends, with or without a reset, and no client hangs.
        let mut received = Vec::new();
        let _reset = client.read_to_end(&mut received);
        assert!(pattern(SENT).starts_with(&received));
    }
    running.eventually(0, "everything is given back", |now| {
        now.streams == 0 && now.receive_buffers_available == baseline.receive_buffers_available
    });
    running.stop().unwrap();
}

#[test]
fn a_dropped_receive_loses_no_byte() {
    let _limit = time_limit();
    let (running, mut client) = with_stream(|stream| async move {
        let mut received = Vec::new();
        loop {
            {
                let mut receive = pin!(stream.receive());
                if let Some(bytes) = poll_once(&mut receive).await {
                    match bytes? {
                        Some(bytes) => received.extend_from_slice(&bytes),
                        None => break,
                    }
                }
            }
            squall_shards::yield_now().await;
        }
        assert!(received == pattern(300_000));
        Ok(())
    });
    for piece in pattern(300_000).chunks(777) {
        client.write_all(piece).unwrap();
    }
    drop(client);
    running.join().unwrap();
}

/// A connection that arrives as its accept is dropped goes to the next accept, or is closed with the listener.
#[test]
fn a_dropped_accept_loses_no_connection_and_leaks_no_descriptor() {
    let test = "a_dropped_accept_loses_no_connection_and_leaks_no_descriptor";
    if child_role().is_none() {
        return in_child(test, "counts descriptors");
    }
    let _limit = time_limit();
    let running = RunningShards::idle(builder(1).build().unwrap());
    let baseline = running.statistics(0);
    let before = open_descriptors();
    for _ in 0..20 {
        let listeners = Listeners::bind_tcp(localhost(), 1).unwrap();
        let address = listeners.tcp_address().unwrap();
        let (opened, wait) = channel();
        let (connected, all_connected) = channel();
        running.on(0, || async move {
            spawn_detached(async move {
                let listener = listeners.open().unwrap();
                for _ in 0..10 {
                    // Armed, and its future dropped: the client arrives meanwhile.
                    assert!(poll_once(&mut pin!(listener.accept())).await.is_none());
                    opened.send(()).unwrap();
                    let stream = listener.accept().await.unwrap();
                    stream.send(b"served".to_vec()).await.unwrap();
                    stream.flush().await.unwrap();
                }
                assert!(poll_once(&mut pin!(listener.accept())).await.is_none());
                let before = Shard::current().statistics().accepted;
                opened.send(()).unwrap();
                // Accepted by the ring, or in the backlog of a listener that epoll watches; not taken, and closed with
                // it.
                common::eventually_here("all have connected", || all_connected.try_recv().is_ok()).await;
                let accepted = || {
                    let now = Shard::current().statistics();
                    now.accepted >= before + 5 || now.driver == Driver::Epoll
                };
                common::eventually_here("accepted", accepted).await;
            });
        });
        for _ in 0..10 {
            wait.recv().unwrap();
            let mut answer = String::new();
            connect(address).read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "served");
        }
        wait.recv().unwrap();
        let unserved: Vec<_> = (0..5).map(|_| connect(address)).collect();
        connected.send(()).unwrap();
        for mut client in unserved {
            let ended = client.read(&mut [0]);
            assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        }
    }
    running.eventually(0, "everything is closed", |now| {
        (now.streams, now.listeners, now.tasks) == (0, 0, baseline.tasks)
    });
    assert_eq!(open_descriptors(), before);
    running.stop().unwrap();
}

#[test]
fn connections_spread_over_all_shards() {
    let _limit = time_limit();
    for count in [1, 2, 4] {
        let (running, address) = echo_server(count);
        let clients: Vec<_> = (0..200).map(|_| connect(address)).collect();
        for mut client in &clients {
            client.write_all(b"x").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
        let accepted: Vec<_> = (0..count).map(|shard| running.statistics(shard).accepted).collect();
        assert_eq!(accepted.iter().sum::<u64>(), 200, "{accepted:?}");
        assert!(accepted.iter().all(|share| *share > 0), "{accepted:?}");
        running.stop().unwrap();
    }
}

#[test]
fn steered_connections_reach_the_shard_of_their_cpu() {
    let _limit = time_limit();
    let count = squall_shards::placement::available().cpus().len().min(4);
    let shards = builder(count).build().unwrap();
    let cpus = shards.cpus().to_vec();
    let listeners = Listeners::bind_tcp(localhost(), count).unwrap();
    let address = listeners.tcp_address().unwrap();
    listeners.steer_by_cpu(&cpus).unwrap();
    assert!(
        listeners.steer_by_cpu(&[]).is_err(),
        "as many CPUs as shards, or the numbers would be wrong"
    );
    let running = RunningShards::serving(shards, listeners, echo);
    for (shard, cpu) in cpus.into_iter().enumerate() {
        let before = running.statistics(shard).accepted;
        // On the loopback device a segment is received on the CPU that sent it.
        let client = thread::spawn(move || {
            assert!(core_affinity::set_for_current(core_affinity::CoreId { id: cpu }));
            for _ in 0..20 {
                let mut client = connect(address);
                client.write_all(b"x").unwrap();
                client.read_exact(&mut [0]).unwrap();
            }
        });
        client.join().unwrap();
        assert_eq!(running.statistics(shard).accepted - before, 20, "CPU {cpu}");
    }
    running.stop().unwrap();
}

/// A graceful stop serves every client already connected, even one the process has not seen yet; later clients are
/// refused.
#[test]
fn a_drained_listener_gives_back_what_waited_and_closes() {
    let _limit = time_limit();
    for accepts in [false, true] {
        let listeners = Listeners::bind_tcp(localhost(), 1).unwrap();
        let address = listeners.tcp_address().unwrap();
        let mut clients: Vec<_> = (0..50).map(|_| connect(address)).collect();
        let running = RunningShards::start(builder(1).build().unwrap(), move |shard| {
            let listeners = listeners.clone();
            async move {
                let listener = listeners.open().unwrap();
                if accepts {
                    // Armed, so that the ring has accepted some when the drain begins.
                    spawn_detached(echo(listener.accept().await?));
                }
                let drained = listener.drain().await;
                assert_eq!(drained.len(), 50 - usize::from(accepts));
                for stream in drained {
                    spawn_detached(echo(stream));
                }
                let holds = move || shard.statistics();
                common::eventually_here("the listener is gone", || holds().listeners == 0).await;
                // A process just forked by another test may hold a copy of it for a moment.
                common::eventually_here("the listener is closed", || TcpStream::connect(address).is_err()).await;
                common::eventually_here("the streams are gone", || holds().streams == 0).await;
                Ok(())
            }
        });
        for client in &mut clients {
            client.write_all(b"served").unwrap();
            client.read_exact(&mut [0; 6]).unwrap();
        }
        drop(clients);
        running.join().unwrap();
    }
}

/// While a listener closes, handshakes already begun complete, and later clients get no answer before it is closed. A
/// queue shared with other processes is left as it is.
#[test]
fn a_closing_listener_accepts_begun_handshakes_and_no_later_client() {
    let _limit = time_limit();
    let listeners = Listeners::bind_tcp(localhost(), 1).unwrap();
    let address = listeners.tcp_address().unwrap();
    let early = connect(address);
    let path = SocketPath::new("closing");
    let shared = Listeners::bind_unix(path.as_path(), 0o600, 1).unwrap();
    let waiting = UnixStream::connect(path.as_path()).unwrap();
    let (told, heard) = channel();
    let running = RunningShards::start(builder(1).build().unwrap(), move |_| {
        let (listeners, shared, told) = (listeners.clone(), shared.clone(), told.clone());
        async move {
            let listener = listeners.open().unwrap();
            let taken_in = listener.accept_last().await;
            assert!(taken_in.is_some(), "a client that was connecting");
            thread::spawn(move || told.send(TcpStream::connect(address).map(drop)));
            assert!(listener.accept_last().await.is_none(), "a later client");
            assert_eq!(listener.drain().await.len(), 0);

            let shared = shared.open().unwrap();
            assert!(shared.accept_last().await.is_none(), "a shared queue");
            assert_eq!(shared.drain().await.len(), 1);
            Ok(())
        }
    });
    running.join().unwrap();
    let refused = heard.recv().unwrap();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop((early, waiting));
}

#[test]
fn inherited_listeners_are_served_by_all_shards() {
    let _limit = time_limit();
    let inherited = TcpListener::bind(localhost()).unwrap();
    inherited.set_nonblocking(true).unwrap();
    let address = inherited.local_addr().unwrap();
    let listeners = Listeners::inherit_tcp(inherited, 2).unwrap();
    assert_eq!(listeners.tcp_address(), Some(address));
    assert!(
        listeners.steer_by_cpu(&[0, 1]).is_err(),
        "one queue for all shards cannot be steered"
    );
    let running = RunningShards::serving(builder(2).build().unwrap(), listeners, echo);
    let clients: Vec<_> = (0..20).map(|_| connect(address)).collect();
    for mut client in &clients {
        client.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
    let accepted: u64 = (0..2).map(|shard| running.statistics(shard).accepted).sum();
    assert_eq!(accepted, 20);
    running.stop().unwrap();

    let path = SocketPath::new("inherited");
    let listeners = Listeners::inherit_unix(UnixListener::bind(path.as_path()).unwrap(), 2).unwrap();
    let running = RunningShards::serving(builder(2).build().unwrap(), listeners, echo);
    let mut client = UnixStream::connect(path.as_path()).unwrap();
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    running.stop().unwrap();
}

/// The backlog of an inherited listener belongs to every process that holds it.
#[test]
fn an_inherited_listener_leaves_its_backlog_to_the_next_process() {
    let _limit = time_limit();
    let bound = Listeners::bind_tcp(localhost(), 1).unwrap();
    let address = bound.tcp_address().unwrap();
    let InheritedListener::Tcp(inherited) = bound.to_inherit().unwrap() else {
        panic!("it listens on TCP");
    };
    let kept = inherited.try_clone().unwrap();
    let waiting = connect(address);
    let listeners = Listeners::inherit_tcp(inherited, 1).unwrap();
    let running = RunningShards::start(builder(1).build().unwrap(), move |_| {
        let listeners = listeners.clone();
        async move {
            let listener = listeners.open().unwrap();
            assert!(listeners.to_inherit().is_err(), "a shard has it");
            assert!(listener.accept_last().await.is_none(), "a shared queue");
            assert_eq!(listener.drain().await.len(), 0);
            Ok(())
        }
    });
    running.join().unwrap();
    let (_, client) = kept.accept().unwrap();
    assert_eq!(client, waiting.local_addr().unwrap());
}

#[test]
fn a_stream_made_elsewhere_is_adopted() {
    let _limit = time_limit();
    for nonblocking in [false, true] {
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        ours.set_nonblocking(nonblocking).unwrap();
        let running = RunningShards::idle(builder(1).build().unwrap());
        running.on(0, move || async move {
            spawn_detached(echo(Stream::from_socket(OwnedFd::from(ours))));
        });
        let mut theirs = UnixStream::from(OwnedFd::from(theirs));
        for _ in 0..2 {
            theirs.write_all(b"x").unwrap();
            theirs.read_exact(&mut [0]).unwrap();
        }
        // It waits for the next byte without asking for it repeatedly. That is seen only over a time.
        let before = running.statistics(0).turns;
        thread::sleep(Duration::from_millis(50));
        assert!(running.statistics(0).turns - before < 10, "nonblocking: {nonblocking}");
        drop(theirs);
        running.eventually(0, "closed", |now| now.streams == 0);
        running.stop().unwrap();
    }
}

#[test]
fn an_address_is_bound_once_and_free_again_when_run_has_returned() {
    let _limit = time_limit();
    let (running, address) = echo_server(2);
    let error = Listeners::inherit_tcp(TcpListener::bind(localhost()).unwrap(), 1)
        .and_then(|_| Listeners::bind_tcp((Ipv4Addr::new(192, 0, 2, 1), 0).into(), 1))
        .unwrap_err();
    assert!(
        error.to_string().contains("this host does not have the address"),
        "{error}"
    );
    assert!(TcpListener::bind(address).is_err());
    let mut client = connect(address);
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    running.stop().unwrap();
    // std's listener does not share the port, so this fails while any other process listens on it. A process just
    // forked by another test may, for a moment.
    common::eventually(|| TcpListener::bind(address).is_ok(), || format!("{address} is free"));
}

#[test]
fn a_unix_socket_replaces_only_a_file_without_a_listener() {
    let _limit = time_limit();
    let path = SocketPath::new("bind");
    drop(UnixListener::bind(path.as_path()).unwrap());
    let first = Listeners::bind_unix(path.as_path(), 0o600, 1).unwrap();
    let error = Listeners::bind_unix(path.as_path(), 0o600, 1).unwrap_err();
    let here = "the address is in use by this process itself; ";
    assert!(error.to_string().contains(here), "{error}");
    drop(first);
    assert!(!path.as_path().exists(), "a listener that ends removes its file");
    std::fs::write(path.as_path(), "a file").unwrap();
    let error = Listeners::bind_unix(path.as_path(), 0o600, 1).unwrap_err();
    assert!(error.to_string().contains("a file that is not a socket"), "{error}");
    assert_eq!(std::fs::read_to_string(path.as_path()).unwrap(), "a file");
}

/// Such a socket answers a stream with another error than an abandoned one, and connecting to a full backlog would block.
#[test]
fn a_unix_socket_of_another_type_or_with_a_full_backlog_is_not_replaced() {
    let _limit = time_limit();
    let path = SocketPath::new("datagrams");
    let datagrams = UnixDatagram::bind(path.as_path()).unwrap();
    let error = Listeners::bind_unix(path.as_path(), 0o600, 1).unwrap_err();
    assert!(error.to_string().contains("in use by this process itself; "), "{error}");
    let sender = UnixDatagram::unbound().unwrap();
    sender.send_to(b"still there", path.as_path()).unwrap();
    drop(datagrams);
    let path = SocketPath::new("backlog");
    let address = SockAddr::unix(path.as_path()).unwrap();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    let connect = || {
        let client = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
        client.connect(&address).map(|()| client)
    };
    let clients: Vec<Socket> = std::iter::repeat_with(connect).map_while(Result::ok).collect();
    assert!(!clients.is_empty());
    let error = Listeners::bind_unix(path.as_path(), 0o600, 1).unwrap_err();
    assert!(error.to_string().contains("in use by this process itself; "), "{error}");
}

/// However many bytes a stream has, its task yields in between, so that other tasks and the clock get their turn.
/// Otherwise a peer that sends as fast as it is read would occupy the shard.
#[test]
fn one_stream_is_received_from_a_bounded_number_of_times_in_a_row() {
    const SENT_BYTES: usize = 100_000;
    // At most all of a ring's buffers are filled before it stops receiving.
    const BUFFERS: u16 = 64;
    let _limit = time_limit();
    let path = SocketPath::new("row");
    let listeners = Listeners::bind_unix(path.as_path(), 0o600, 1).unwrap();
    let mut client = UnixStream::connect(path.as_path()).unwrap();
    // All bytes are there before the first is received.
    client.write_all(&pattern(SENT_BYTES)).unwrap();
    let shards = builder(1).receive_buffers(BUFFERS, 1024).build().unwrap();
    let running = RunningShards::start(shards, move |_| {
        let listeners = listeners.clone();
        async move {
            let stream = listeners.open().unwrap().accept().await?;
            let (mut received, mut longest, mut in_a_row) = (0, 0, 0);
            poll_fn(|cx| {
                while received < SENT_BYTES
                    && let Poll::Ready(bytes) = stream.poll_receive(cx)
                {
                    received += bytes.unwrap().unwrap().len();
                    in_a_row += 1;
                }
                longest = longest.max(std::mem::take(&mut in_a_row));
                if received < SENT_BYTES {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
            .await;
            assert!(longest <= usize::from(BUFFERS), "{longest} times in a row");
            Ok(())
        }
    });
    running.join().unwrap();
}

/// However much a stream takes, its sender yields in between. Otherwise a peer that reads as fast as it is sent to
/// would occupy the shard.
#[test]
fn one_stream_is_sent_to_a_bounded_number_of_times_in_a_row() {
    const PIECES: usize = 100;
    /// As many as a stream may receive in a row.
    const IN_A_ROW_MAX: usize = 16;
    let _limit = time_limit();
    let path = SocketPath::new("sent");
    let listeners = Listeners::bind_unix(path.as_path(), 0o600, 1).unwrap();
    // The kernel has room for every piece, so the stream never waits for the client.
    let mut client = UnixStream::connect(path.as_path()).unwrap();
    let running = RunningShards::start(builder(1).build().unwrap(), move |_| {
        let listeners = listeners.clone();
        async move {
            let stream = listeners.open().unwrap().accept().await?;
            let (mut sent, mut longest, mut in_a_row) = (0, 0, 0);
            poll_fn(|cx| {
                while sent < PIECES && stream.poll_sent(cx).is_ready() {
                    stream.start_send(vec![b'x']).unwrap();
                    sent += 1;
                    in_a_row += 1;
                }
                longest = longest.max(std::mem::take(&mut in_a_row));
                if sent < PIECES { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            assert!(longest <= IN_A_ROW_MAX, "{longest} times in a row");
            stream.flush().await?;
            Ok(())
        }
    });
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, [b'x'; PIECES]);
    running.join().unwrap();
}
