//! A server of rustls' buffered connections, which share no code with the client's, on threads. It answers with literal
//! bytes, and may end without a `close_notify`.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rustls::crypto::aws_lc_rs;
use rustls::{HandshakeKind, ServerConfig, ServerConnection, SupportedProtocolVersion};

use crate::authority::{Authority, Issued};
use crate::client::SILENCE_MAX;

/// A server, and its connections. Dropping it joins them, so that their failures fail the test.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The server's end of a connection whose handshake is complete.
pub(crate) struct Served {
    session: ServerConnection,
    stream: TcpStream,
    /// From 0.
    pub(crate) number: usize,
}

/// A certificate for `localhost` of a new authority.
pub(crate) fn for_localhost() -> (Authority, Issued) {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    (authority, own)
}

/// The configuration of a server with this certificate.
pub(crate) fn config(own: &Issued, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(own.chain.clone(), own.private.clone_key())
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

impl Origin {
    /// Runs `serve` on each connection.
    pub(crate) fn start(config: ServerConfig, serve: impl Fn(&mut Served) + Send + Sync + 'static) -> Self {
        let config = Arc::new(config);
        Self::plain(move |stream, number| {
            // A client that rejects the certificate ends the handshake.
            if let Ok(mut served) = Served::accept(stream, Arc::clone(&config), number) {
                serve(&mut served);
            }
        })
    }

    /// Runs `serve` on each connection, with its number, before any handshake.
    pub(crate) fn plain(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, stops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&connections), Arc::clone(&stops));
        let serve = Arc::new(serve);
        let thread = thread::spawn(move || {
            let mut running = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let (stream, serve) = (stream.unwrap(), Arc::clone(&serve));
                stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
                let number = counted.fetch_add(1, Ordering::AcqRel);
                running.push(thread::spawn(move || serve(stream, number)));
            }
            drop(listener);
            for connection in running {
                connection.join().unwrap();
            }
        });
        Self {
            address,
            connections,
            stops,
            thread: Some(thread),
        }
    }

    /// Answers every request of every connection with the same bytes.
    pub(crate) fn repeating(config: ServerConfig, bytes: &'static [u8]) -> Self {
        Self::start(config, move |served| {
            while served.request().is_some() {
                served.send(bytes);
            }
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Release);
        // Ends the wait for a connection.
        drop(TcpStream::connect(self.address));
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

impl Served {
    fn accept(mut stream: TcpStream, config: Arc<ServerConfig>, number: usize) -> io::Result<Self> {
        let mut session = ServerConnection::new(config).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Self {
            session,
            stream,
            number,
        })
    }

    /// The head of the next request; `None` at the end of the connection, with a `close_notify` or without.
    pub(crate) fn request(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.tls().read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        Some(String::from_utf8(head).unwrap())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // The client may have gone.
        drop(self.tls().write_all(bytes));
    }

    /// Ends with a `close_notify`.
    pub(crate) fn close(&mut self) {
        self.session.send_close_notify();
        drop(self.tls().flush());
        self.cut();
    }

    /// Ends without one.
    pub(crate) fn cut(&self) {
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// Whether the client ends the connection with a `close_notify`.
    pub(crate) fn is_closed_properly(&mut self) -> bool {
        match self.tls().read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
                false
            }
        }
    }

    pub(crate) fn was_resumed(&self) -> bool {
        self.session.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The name and the protocol that were agreed on.
    pub(crate) fn agreed(&self) -> String {
        let protocol = self.session.alpn_protocol().unwrap_or_default();
        format!(
            "{} {}",
            self.session.server_name().unwrap_or("-"),
            String::from_utf8_lossy(protocol)
        )
    }

    fn tls(&mut self) -> rustls::Stream<'_, ServerConnection, TcpStream> {
        rustls::Stream::new(&mut self.session, &mut self.stream)
    }
}

/// A response with a length.
pub(crate) fn ok(content: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len()).into_bytes()
}
