//! A server in this process, and its clients: plain connections, and tungstenite's WebSockets.

use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use squall::prelude::*;
use squall::shards::{Driver, Stop, Stopper};
use squall::{BoundServer, Publisher, ServerRemote};
use tungstenite::handshake::client::generate_key;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message as Frame, WebSocket as Client};

use super::client::Connection;
use super::response::Response;

/// How long the server may stay silent before a test fails.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A server on a free port; dropping it stops and joins it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stopper: Stopper,
    pub(crate) publisher: Publisher,
    pub(crate) remote: ServerRemote,
    /// Returns the error of the server as a text.
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Running {
    /// Starts an application with the default settings.
    pub(crate) fn start(shards: usize, application: impl Fn() -> Application + Send + Sync + 'static) -> Self {
        Self::serve(Server::new(application).shards(shards))
    }

    /// Starts a configured server on a free port.
    pub(crate) fn serve(server: Server) -> Self {
        Self::run(bind(server).unwrap())
    }

    /// Runs a server that a test has bound with [`bind`].
    pub(crate) fn run(server: BoundServer) -> Self {
        Self {
            address: server.local_addr().unwrap(),
            stopper: server.stopper(),
            publisher: server.publisher(),
            remote: server.remote(),
            thread: Some(std::thread::spawn(move || {
                server.run().map_err(|error| format!("{error:?}"))
            })),
        }
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn wait(self) {
        self.end().unwrap();
    }

    /// Waits until the server has ended by itself, and returns its error.
    pub(crate) fn end(mut self) -> Result<(), String> {
        let thread = self.thread.take().expect("it is joined once");
        thread.join().unwrap()
    }

    /// Opens a connection without a request.
    pub(crate) fn connection(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Requests a path and returns the response.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        self.connection().exchange(request.as_bytes(), "GET").unwrap()
    }

    /// Opens a WebSocket with additional fields; if refused, returns the status and the fields of the response.
    pub(crate) fn open(
        &self,
        path: &str,
        fields: &[(&'static str, &str)],
    ) -> Result<Client<TcpStream>, http::Response<()>> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
        let mut request = http::Request::get(self.url(path))
            .header("Host", self.address.to_string())
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key());
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        match tungstenite::client(request.body(()).unwrap(), stream) {
            Ok((client, _)) => Ok(client),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => Err(response.map(|_| ())),
            Err(error) => panic!("no handshake: {error}"),
        }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub(crate) fn connect(&self, path: &str) -> Client<TcpStream> {
        self.open(path, &[]).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop(Stop::Now);
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(ended) = ended
            && !std::thread::panicking()
        {
            ended.unwrap().unwrap();
        }
    }
}

/// Binds a server to a free port beside its own addresses, with the driver under test.
pub(crate) fn bind(server: Server) -> Result<BoundServer> {
    server
        .listen("127.0.0.1:0")
        .stop_on_signals(false)
        .driver(tested_driver())
        .bind()
}

/// The driver under test, for a server of this process.
pub(crate) fn tested_driver() -> Driver {
    super::server::driver_under_test().map_or(Driver::Auto, |driver| driver.parse().unwrap())
}

/// The next message.
pub(crate) fn read(client: &mut Client<TcpStream>) -> Frame {
    client.read().unwrap()
}

/// The code of the next close frame.
pub(crate) fn close_code(client: &mut Client<TcpStream>) -> CloseCode {
    match read(client) {
        Frame::Close(Some(frame)) => frame.code,
        other => panic!("not a close frame with a code: {other:?}"),
    }
}
