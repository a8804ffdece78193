//! Shared by these tests: servers on threads, and a relay that counts bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use squall::ClientOptions;
use squall::websocket::DeflateConfig;

pub(crate) use crate::support::running::Running;
pub(crate) use crate::support::shard::{TIME_LIMIT, eventually_here, on_shard};

/// Options that offer compression, or do not.
pub(crate) fn offering(deflate: Option<DeflateConfig>) -> ClientOptions {
    let options = ClientOptions::default();
    match deflate {
        Some(config) => options.deflate(config),
        None => options,
    }
}

/// A server of one connection on a thread. Dropping it joins the thread, so that its failure fails the test.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    pub(crate) fn start(serve: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            thread: Some(thread::spawn(move || serve(listener.accept().unwrap().0))),
        }
    }

    /// Reads a request and runs `serve` on its connection.
    pub(crate) fn answering(answer: impl FnOnce(&str, &mut TcpStream) + Send + 'static) -> Self {
        Self::start(|mut stream| {
            let request = read_request(&mut stream);
            answer(&request, &mut stream);
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// The head of a request.
pub(crate) fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

/// Whether more bytes arrive before the client closes.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap_or_default();
    rest
}

/// The head of a valid response to a request, with additional fields.
pub(crate) fn accept(request: &str, fields: &str) -> String {
    let line = request.lines().find(|line| line.starts_with("sec-websocket-key: "));
    let key = line.unwrap().trim_start_matches("sec-websocket-key: ");
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
    )
}

/// A relay between a client and a server that counts the bytes.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    to_server: Arc<AtomicUsize>,
    to_client: Arc<AtomicUsize>,
}

impl Relay {
    /// Relays one connection.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            to_server: Arc::default(),
            to_client: Arc::default(),
        };
        let (to_server, to_client) = (Arc::clone(&relay.to_server), Arc::clone(&relay.to_client));
        thread::spawn(move || {
            let client = listener.accept().unwrap().0;
            let server = TcpStream::connect(server).unwrap();
            pass_on(client.try_clone().unwrap(), server.try_clone().unwrap(), to_server);
            pass_on(server, client, to_client);
        });
        relay
    }

    /// How many bytes went to the server and to the client.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (
            self.to_server.load(Ordering::Relaxed),
            self.to_client.load(Ordering::Relaxed),
        )
    }
}

fn pass_on(mut from: TcpStream, to: TcpStream, count: Arc<AtomicUsize>) {
    thread::spawn(move || {
        let mut counted = Counted { to, count };
        drop(io::copy(&mut from, &mut counted));
        drop(counted.to.shutdown(std::net::Shutdown::Write));
    });
}

/// Counts bytes before it writes them.
struct Counted {
    to: TcpStream,
    count: Arc<AtomicUsize>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.count.fetch_add(bytes.len(), Ordering::Relaxed);
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(step).take(length).collect()
}
