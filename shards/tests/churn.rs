//! A hundred thousand connections that end in every possible state leave nothing behind.
//!
//! Closes race with receives, sends and the peer's own close, and completions arrive while slots are reused. Under
//! AddressSanitizer: `RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test --target x86_64-unknown-linux-gnu -p
//! squall-shards --test churn`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test and its clients, on threads outside the shards"
)]

mod common;

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, SockRef, Socket, Type};
use squall_shards::{Driver, Listeners, Stream, spawn_detached};

use common::{RunningShards, SocketPath, builder, open_descriptors, or_stopped, poll_once, serve, time_limit};

const CONNECTIONS: usize = 100_000;
/// The share of TCP connections; the rest use Unix sockets, which are cheaper and do not linger.
const TCP_EVERY: usize = 8;
const CLIENTS: usize = 4;
/// How many connections each client has open at once.
const TOGETHER: usize = 64;
const SHARDS: usize = 2;

/// How a connection ends; the client's first byte tells the server.
///
/// How a connection ends. `i`: closed without a byte. `e`: echoed a little, then closed by the client. `r`: dropped by
/// the server while a receive waits. `s`: the same with a send in flight that the kernel took only in part. `h`:
/// dropped by the server while bytes it holds outlive it and more arrive. `c`: half closed by the client, answered,
/// closed by the server. `x`: reset by the client during a send. `b`: both sides send to each other and drop.
const ENDS: &[u8; 8] = b"iershcxb";

/// More than a Unix socket's buffers take.
static LARGE: [u8; 400 * 1024] = [7; 400 * 1024];

async fn serve_its_fate(stream: Stream) {
    let Ok(Some(first)) = stream.receive().await else {
        return;
    };
    // Half of them also watch for their peer's end.
    if b"rsxb".contains(&first[0]) {
        poll_once(&mut pin!(poll_fn(|cx| stream.poll_peer_end(cx)))).await;
    }
    match first[0] {
        b'r' => drop(poll_once(&mut pin!(stream.receive())).await),
        b's' => {
            if stream.send(Bytes::from_static(&LARGE)).await.is_ok() {
                drop(poll_once(&mut pin!(stream.receive())).await);
            }
        }
        b'h' => {
            let second = poll_once(&mut pin!(stream.receive())).await;
            drop(stream);
            assert_eq!(first[0], b'h', "held bytes do not change");
            drop(second);
        }
        b'c' => {
            drop(first);
            while let Ok(Some(_)) = stream.receive().await {}
            if stream.send(b"bye".to_vec()).await.is_ok() {
                stream.flush().await.unwrap_or_default();
            }
        }
        b'x' => {
            drop(first);
            if stream.send(Bytes::from_static(&LARGE)).await.is_ok() {
                stream.flush().await.unwrap_or_default();
            }
        }
        b'b' => drop(stream.send(Bytes::from_static(&LARGE)).await),
        _ => {
            let bytes = first.to_vec();
            drop(first);
            if stream.send(bytes).await.is_ok() {
                common::echo(stream).await;
            }
        }
    }
}

trait Client: Read + Write {
    fn close_half(&self) -> io::Result<()>;
    fn reset(self: Box<Self>);
}

impl Client for UnixStream {
    fn close_half(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// A Unix socket closed with bytes unread resets its peer.
    fn reset(self: Box<Self>) {}
}

impl Client for TcpStream {
    fn close_half(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn reset(self: Box<Self>) {
        SockRef::from(&*self).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// The server's addresses, and how clients connect to them.
#[derive(Clone)]
struct Server {
    tcp: SocketAddr,
    unix: PathBuf,
}

impl Server {
    fn connect(&self, number: usize) -> Box<dyn Client> {
        if !number.is_multiple_of(TCP_EVERY) {
            return Box::new(UnixStream::connect(&self.unix).unwrap());
        }
        // A client port may linger for a minute, so clients use many addresses.
        let host = (number / TCP_EVERY) % 200;
        let address = Ipv4Addr::new(127, 0, 1, u8::try_from(host).unwrap() + 1);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        socket.connect(&self.tcp.into()).unwrap();
        Box::new(TcpStream::from(socket))
    }
}

/// The client's first half of a connection's life.
fn begin(server: &Server, number: usize) -> (u8, Box<dyn Client>) {
    let way = ENDS[(number / TCP_EVERY + number) % ENDS.len()];
    let mut client = server.connect(number);
    let written = match way {
        b'i' => Ok(()),
        b'h' | b'b' => client.write_all(&[way; 5000]),
        _ => client.write_all(&[way]),
    };
    // The server may drop the connection before the client has written.
    assert!(written.is_ok() || matches!(way, b'h' | b'b'), "{way} {written:?}");
    (way, client)
}

/// The second half.
fn end(way: u8, mut client: Box<dyn Client>) {
    match way {
        b'e' => {
            let mut echoed = [0; 3];
            client.read_exact(&mut echoed[..1]).unwrap();
            client.write_all(b"ee").unwrap();
            client.read_exact(&mut echoed[1..]).unwrap();
            assert_eq!(&echoed, b"eee");
        }
        b'r' | b's' => {
            // Ends in whatever way the server's drop causes, but ends.
            let mut piece = [0; 16 * 1024];
            while client.read(&mut piece).is_ok_and(|count| count > 0) {}
        }
        b'c' => {
            client.close_half().unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "bye");
        }
        b'x' => {
            client.read_exact(&mut [0; 100]).unwrap();
            client.reset();
        }
        _ => {}
    }
}

fn churn(server: &Server, connections: usize) {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let server = server.clone();
            thread::spawn(move || {
                let mut numbers = (client..connections).step_by(CLIENTS).peekable();
                while numbers.peek().is_some() {
                    let open: Vec<_> = numbers
                        .by_ref()
                        .take(TOGETHER)
                        .map(|number| begin(&server, number))
                        .collect();
                    open.into_iter().for_each(|(way, client)| end(way, client));
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

fn start(path: &Path) -> (RunningShards, Server) {
    let listeners = [
        Listeners::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), SHARDS).unwrap(),
        Listeners::bind_unix(path, 0o600, SHARDS).unwrap(),
    ];
    let server = Server {
        tcp: listeners[0].tcp_address().unwrap(),
        unix: path.to_owned(),
    };
    let running = RunningShards::start(builder(SHARDS).build().unwrap(), move |shard| {
        let listeners = listeners.clone();
        async move {
            for listener in listeners {
                spawn_detached(serve(listener.open().unwrap(), serve_its_fate));
            }
            or_stopped(&shard, std::future::pending::<()>()).await;
            Ok(())
        }
    });
    (running, server)
}

#[test]
fn nothing_is_left_of_a_hundred_thousand_connections() {
    let _limit = time_limit();
    let path = SocketPath::new("churn");
    let (running, server) = start(path.as_path());
    // One round first, so that everything created once exists.
    churn(&server, TCP_EVERY * ENDS.len());
    let quiet = |shard| {
        running.eventually(shard, "all streams are closed", |now| {
            (now.streams, now.timers) == (0, 0)
        })
    };
    let before: Vec<_> = (0..SHARDS).map(quiet).collect();
    let descriptors = open_descriptors();

    churn(&server, CONNECTIONS);

    let mut accepted = 0;
    for (shard, before) in before.iter().enumerate() {
        let after = running.eventually(shard, "everything is given back", |now| {
            now.streams == 0
                && now.timers == 0
                && now.tasks == before.tasks
                && now.receive_buffers_available == before.receive_buffers_available
        });
        if after.driver == Driver::IoUring {
            assert_eq!(after.receive_buffers_available, 64, "all of them");
        }
        assert_eq!(after.completions_stale, 0);
        assert_eq!(after.listeners, 2);
        accepted += after.accepted - before.accepted;
    }
    assert_eq!(accepted, CONNECTIONS as u64);
    common::eventually(
        || open_descriptors() == descriptors,
        || format!("{} descriptors, {descriptors} before", open_descriptors()),
    );
    running.stop().unwrap();
}
