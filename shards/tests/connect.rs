//! Outgoing connections carry bytes like accepted ones, report the kernel's errors, and leave nothing behind when
//! dropped in any state.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests and their peers, which are threads outside the shards"
)]

mod common;

use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use squall_shards::{Listeners, PeerAddress, Stream, spawn_detached, timeout_at, yield_now};

use common::{
    PATIENCE, RunningShards, builder, child_role, echo, in_child, open_descriptors, pattern, poll_once, serve,
    time_limit,
};

fn localhost() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Runs an echo server on threads of its own, like another process's server.
fn echo_threads(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
}

/// Returns an address without a listener that other processes cannot bind meanwhile.
fn deaf() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&localhost().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// A listener that answers no further client: the single place in its backlog is taken.
struct Silent {
    address: SocketAddr,
    _listener: Socket,
    _waiting: TcpStream,
}

impl Silent {
    fn new() -> Self {
        let (listener, address) = deaf();
        listener.listen(0).unwrap();
        Self {
            address,
            _listener: listener,
            _waiting: TcpStream::connect(address).unwrap(),
        }
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(100)
}

fn patiently() -> Instant {
    Instant::now() + PATIENCE
}

/// Sends a pattern and receives it back.
async fn converse(stream: &Stream, length: usize) -> io::Result<()> {
    stream.send(pattern(length)).await?;
    let mut echoed = Vec::new();
    while echoed.len() < length {
        echoed.extend_from_slice(&stream.receive().await?.unwrap());
    }
    assert!(echoed == pattern(length));
    Ok(())
}

#[test]
fn bytes_come_back_over_a_connection_of_our_own() {
    let _limit = time_limit();
    let running = RunningShards::idle(builder(1).build().unwrap());
    for address in [localhost(), (Ipv6Addr::LOCALHOST, 0).into()] {
        let Ok(listener) = TcpListener::bind(address) else {
            continue; // a host without IPv6
        };
        let address = listener.local_addr().unwrap();
        echo_threads(listener);
        running.on(0, move || async move {
            let stream = Stream::connect(address).await.unwrap();
            assert_eq!(stream.peer_address().unwrap(), PeerAddress::Tcp(address));
            for length in [1, 4096, 1 << 16] {
                converse(&stream, length).await.unwrap();
            }
        });
    }
    running.eventually(0, "the streams are closed", |now| now.streams == 0);
    running.stop().unwrap();
}

/// Both ends on shards, of one process and of one shard.
#[test]
fn shards_connect_to_shards() {
    let _limit = time_limit();
    let listeners = Listeners::bind_tcp(localhost(), 2).unwrap();
    let address = listeners.tcp_address().unwrap();
    let running = RunningShards::start(builder(2).build().unwrap(), move |_| {
        let listeners = listeners.clone();
        async move {
            serve(listeners.open().unwrap(), echo).await;
            Ok(())
        }
    });
    for shard in 0..2 {
        running.on(shard, move || async move {
            let mut streams = Vec::new();
            for _ in 0..50 {
                streams.push(Stream::connect(address).await.unwrap());
            }
            for stream in &streams {
                converse(stream, 10_000).await.unwrap();
            }
        });
    }
    for shard in 0..2 {
        running.eventually(shard, "the streams are closed", |now| now.streams == 0);
    }
    running.stop().unwrap();
}

#[test]
fn an_address_without_a_listener_refuses() {
    let _limit = time_limit();
    let running = RunningShards::idle(builder(1).build().unwrap());
    let (_socket, address) = deaf();
    running.on(0, move || async move {
        let refused = Stream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let refused = Stream::connect_host("127.0.0.1", address.port(), patiently()).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let sentence =
            format!("could not connect to {address}: the connection was refused; start the server or check the port");
        assert_eq!(refused.to_string(), sentence);
    });
    assert_eq!(running.statistics(0).streams, 0);
    running.stop().unwrap();
}

#[test]
fn a_host_is_found_by_its_name() {
    let _limit = time_limit();
    let running = RunningShards::idle(builder(1).build().unwrap());
    let listener = TcpListener::bind(localhost()).unwrap();
    let port = listener.local_addr().unwrap().port();
    echo_threads(listener);
    running.on(0, move || async move {
        // If the name is ::1 too, that address comes first and refuses.
        let stream = Stream::connect_host("localhost", port, patiently()).await.unwrap();
        converse(&stream, 100).await.unwrap();
        let error = Stream::connect_host("no\0name", port, patiently()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(
            error.to_string().starts_with("could not connect to no\0name:"),
            "{error}"
        );
    });
    running.stop().unwrap();
}

#[test]
fn a_silent_peer_is_waited_for_until_the_deadline() {
    let _limit = time_limit();
    let running = RunningShards::idle(builder(1).build().unwrap());
    let silent = Silent::new();
    let address = silent.address;
    running.on(0, move || async move {
        let error = Stream::connect_host("127.0.0.1", address.port(), soon()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(timeout_at(soon(), Stream::connect(address)).await.is_none());
    });
    running.eventually(0, "the sockets are closed", |now| now.streams == 0 && now.timers == 0);
    running.stop().unwrap();
}

/// The shard ends although a connection attempt is unanswered.
#[test]
fn a_shard_that_stops_gives_its_attempts_up() {
    let test = "a_shard_that_stops_gives_its_attempts_up";
    if child_role().is_none() {
        // Alone, because it counts the sockets of its process.
        return in_child(test, "stops");
    }
    let _limit = time_limit();
    let sockets = open_sockets();
    let running = RunningShards::idle(builder(1).build().unwrap());
    let silent = Silent::new();
    let address = silent.address;
    running.on(0, move || async move {
        spawn_detached(async move { drop(Stream::connect(address).await) });
    });
    running.eventually(0, "an attempt is under way", |now| now.streams == 1);
    running.stop().unwrap();
    drop(silent);
    assert_eq!(open_sockets(), sockets);
}

/// How many sockets this process has open.
fn open_sockets() -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let files = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.unwrap().path()).ok());
    files
        .filter(|file| file.to_string_lossy().starts_with("socket:"))
        .count()
}

const ATTEMPTS: usize = 20_000;

/// Attempts dropped before, during, at the moment of, and after the connection. They go to a listener, to an address
/// without one, and to a listener that does not answer.
#[test]
fn nothing_is_left_of_attempts_given_up_in_any_state() {
    let test = "nothing_is_left_of_attempts_given_up_in_any_state";
    if child_role().is_none() {
        // Alone, because it counts the descriptors of its process.
        return in_child(test, "gives up");
    }
    let _limit = time_limit();
    let listener = TcpListener::bind(localhost()).unwrap();
    let listening = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A reset leaves no port behind to wait for stragglers.
            let stream = stream.unwrap();
            socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    });
    let (_socket, refusing) = deaf();
    let silent = Silent::new();
    let running = RunningShards::idle(builder(1).build().unwrap());
    let before = running.statistics(0);
    let descriptors = open_descriptors();
    let addresses = [listening, refusing, silent.address];
    running.on(0, move || async move {
        for number in 0..ATTEMPTS {
            let address = addresses[number % addresses.len()];
            let mut connecting = pin!(Stream::connect(address));
            match (number / addresses.len()) % 4 {
                0 => {}
                1 => drop(poll_once(&mut connecting).await),
                2 => {
                    if poll_once(&mut connecting).await.is_none() {
                        yield_now().await;
                        drop(poll_once(&mut connecting).await);
                    }
                }
                _ if address == silent.address => drop(poll_once(&mut connecting).await),
                _ => drop(connecting.await),
            }
        }
    });
    running.eventually(0, "everything is given back", |now| {
        (now.streams, now.timers, now.tasks) == (0, 0, before.tasks)
            && now.receive_buffers_available == before.receive_buffers_available
            && now.completions_stale == 0
    });
    common::eventually(
        || open_descriptors() == descriptors,
        || format!("{} descriptors, {descriptors} before", open_descriptors()),
    );
    running.stop().unwrap();
}

#[test]
fn without_descriptors_connecting_fails_and_works_again_when_there_are_some() {
    let test = "without_descriptors_connecting_fails_and_works_again_when_there_are_some";
    if child_role().is_none() {
        return in_child(test, "is poor");
    }
    let _limit = time_limit();
    let listener = TcpListener::bind(localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let running = RunningShards::idle(builder(1).build().unwrap());
    let (current, maximum) = (Some(64), Some(64));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    running.on(0, move || async move {
        let mut streams = Vec::new();
        let error = loop {
            match Stream::connect(address).await {
                Ok(stream) => streams.push(stream),
                Err(error) => break error,
            }
        };
        assert!(streams.len() > 10, "{} were made", streams.len());
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        let error = Stream::connect_host("127.0.0.1", address.port(), patiently()).await;
        assert!(error.unwrap_err().to_string().contains("ulimit -n"));
        streams.pop();
        common::eventually_here("a descriptor is freed", || {
            squall_shards::Shard::current().statistics().streams == streams.len()
        })
        .await;
        streams.push(Stream::connect(address).await.unwrap());
    });
    running.stop().unwrap();
}

/// A peer that resets at once is an error of the stream, not of the connection attempt.
#[test]
fn a_peer_that_hangs_up_at_once_is_noticed_by_the_stream() {
    let _limit = time_limit();
    let running = RunningShards::idle(builder(1).build().unwrap());
    let listener = TcpListener::bind(localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    });
    running.on(0, move || async move {
        let stream = Stream::connect(address).await.unwrap();
        stream.send(b"x".to_vec()).await.unwrap();
        let error = stream.receive().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
    peer.join().unwrap();
    running.stop().unwrap();
}
