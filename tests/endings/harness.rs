//! A server with a TCP and a Unix listener, and plain sockets to both.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use squall::prelude::*;
use squall::websocket::Message;

use crate::support::running::Running;

/// How long a step may take before its test fails. Generous: a debug build on a busy machine.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How many unread bytes the client's kernel holds. Small, so that the server has to wait.
const RECEIVE_BUFFER_BYTES: usize = 4096;

/// How a client reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Unix,
}

pub(crate) const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Unix];

/// A server that is stopped and joined when it is dropped.
pub(crate) struct TestServer {
    pub(crate) running: Running,
    path: PathBuf,
}

impl TestServer {
    pub(crate) fn start(shards: usize, application: impl Fn() -> Application + Send + Sync + 'static) -> Self {
        Self::configured(shards, application, |server| server)
    }

    pub(crate) fn configured(
        shards: usize,
        application: impl Fn() -> Application + Send + Sync + 'static,
        change: impl FnOnce(Server) -> Server,
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "squall-endings-{}-{}.sock",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        let server = Server::new(application)
            .shards(shards)
            .listen(format!("unix:{}", path.display()));
        Self {
            running: Running::serve(change(server)),
            path,
        }
    }

    pub(crate) fn connect(&self, transport: Transport) -> Peer {
        match transport {
            Transport::Tcp => Peer::Tcp(connect_tcp(self.running.address)),
            Transport::Unix => Peer::Unix(UnixStream::connect(&self.path).unwrap()),
        }
        .patient()
    }

    /// Sends a request and returns the socket.
    pub(crate) fn ask(&self, transport: Transport, request: impl AsRef<[u8]>) -> Peer {
        let mut peer = self.connect(transport);
        peer.write_all(request.as_ref()).unwrap();
        peer
    }
}

/// Connects with a small receive buffer, which has to be set before.
fn connect_tcp(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

/// A client's socket.
pub(crate) enum Peer {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Peer {
    fn patient(self) -> Self {
        match &self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(TIME_LIMIT)).unwrap(),
            Self::Unix(stream) => stream.set_read_timeout(Some(TIME_LIMIT)).unwrap(),
        }
        self
    }

    /// Another handle of the same socket.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone().unwrap()),
            Self::Unix(stream) => Self::Unix(stream.try_clone().unwrap()),
        }
    }

    /// Closes the sending half.
    pub(crate) fn half_close(&self) {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write).unwrap(),
        }
    }

    /// Resets the connection. A Unix socket has no reset, so it is closed.
    pub(crate) fn reset(self) {
        if let Self::Tcp(stream) = &self {
            SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    /// Reads until `end` has arrived, and returns everything read.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        let mut received = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let count = self.read(&mut piece).unwrap();
            assert!(count > 0, "the end came after {}", String::from_utf8_lossy(&received));
            let searched = received.len().saturating_sub(end.len());
            received.extend_from_slice(&piece[..count]);
            let mut windows = received[searched..].windows(end.len());
            if windows.any(|window| window == end.as_bytes()) {
                return String::from_utf8_lossy(&received).into_owned();
            }
        }
    }

    /// Reads to the end of the connection.
    pub(crate) fn read_all(mut self) -> std::io::Result<Vec<u8>> {
        let mut received = Vec::new();
        self.read_to_end(&mut received)?;
        Ok(received)
    }
}

impl Read for Peer {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Events that handlers on any shard send to the test.
pub(crate) struct Events<T>(Receiver<T>);

pub(crate) fn events<T>() -> (Sender<T>, Events<T>) {
    let (sender, receiver) = channel();
    (sender, Events(receiver))
}

impl<T> Events<T> {
    /// Waits for the next event, and fails with `complaint` if none arrives.
    #[track_caller]
    pub(crate) fn next(&self, complaint: &str) -> T {
        self.0.recv_timeout(TIME_LIMIT).expect(complaint)
    }

    /// Whether no event has arrived and the senders still exist.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.0.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout))
    }
}

/// Sends an event when it is dropped.
pub(crate) struct OnDrop(pub(crate) Sender<&'static str>, pub(crate) &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.send(self.1).ok();
    }
}

pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// A WebSocket's handler that does nothing.
pub(crate) struct Silent;

impl WebSocketHandler for Silent {
    async fn on_message(&mut self, _: &WebSocket, _: Message) -> Result {
        Ok(())
    }
}
