//! Forwards plain connections to a server that speaks TLS, so that the tests of other suites run over TLS as they are.
//!
//! ```text
//! tls_forwarder ADDRESS
//! ```
//!
//! It prints the address it listens on, and ends with its standard input. Each end of a connection is passed on as it
//! is: a half-close with a `close_notify`, a reset as a reset. It trusts any certificate.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::exit,
    reason = "a tool of tests"
)]

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use socket2::SockRef;

/// The stack of a connection's thread: some thousand connections are open at once. 256 KiB.
const STACK_BYTES: usize = 256 * 1024;

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;

fn main() {
    let server: SocketAddr = std::env::args().nth(1).unwrap().parse().unwrap();
    allow_many_connections();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    thread::spawn(|| {
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        std::process::exit(0);
    });
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    // A full handshake each time, as most tests expect of a new connection.
    config.resumption = rustls::client::Resumption::disabled();
    let config = Arc::new(config);
    for client in listener.incoming() {
        let config = Arc::clone(&config);
        let forward = move || {
            let client = client.unwrap();
            if forward(&client, server, config).is_err() {
                reset(&client);
            }
        };
        thread::Builder::new().stack_size(STACK_BYTES).spawn(forward).unwrap();
    }
}

/// Raises the limit of open files as far as the process may: each connection has two.
fn allow_many_connections() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Forwards one connection to its end; an error is a reset.
fn forward(client: &TcpStream, server: SocketAddr, config: Arc<ClientConfig>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    for stream in [client, &server] {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
    }
    let mut pair = Pair {
        client,
        server: &server,
        session,
        to_client: Vec::new(),
        client_ended: false,
        server_ended: false,
    };
    let forwarded = pair.run();
    if forwarded.is_err() {
        reset(&server);
    }
    forwarded
}

/// Makes the close of a socket a reset.
fn reset(stream: &TcpStream) {
    drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}

/// Both ends of a connection.
struct Pair<'a> {
    client: &'a TcpStream,
    server: &'a TcpStream,
    session: ClientConnection,
    to_client: Vec<u8>,
    client_ended: bool,
    server_ended: bool,
}

impl Pair<'_> {
    fn run(&mut self) -> io::Result<()> {
        loop {
            self.write()?;
            let is_sent = !self.session.wants_write() && self.to_client.is_empty();
            if self.client_ended && self.server_ended && is_sent {
                return Ok(());
            }
            self.wait()?;
            if self.to_client.is_empty() && !self.server_ended {
                self.read_server()?;
            }
            if !self.session.wants_write() && !self.session.is_handshaking() && !self.client_ended {
                self.read_client()?;
            }
        }
    }

    /// Waits until a read or a write is possible that is wanted.
    fn wait(&self) -> io::Result<()> {
        let flags = |reads: bool, writes: bool| {
            let reads = if reads { PollFlags::IN } else { PollFlags::empty() };
            reads | if writes { PollFlags::OUT } else { PollFlags::empty() }
        };
        let takes = !self.session.wants_write() && !self.session.is_handshaking() && !self.client_ended;
        let client = flags(takes, !self.to_client.is_empty());
        let gives = self.to_client.is_empty() && !self.server_ended;
        let server = flags(gives, self.session.wants_write());
        let mut polled = [PollFd::new(self.client, client), PollFd::new(self.server, server)];
        poll(&mut polled, None)?;
        let has_broken = |at: usize| {
            polled
                .get(at)
                .is_some_and(|polled| polled.revents().contains(PollFlags::ERR))
        };
        if has_broken(0) || has_broken(1) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.server) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while !self.to_client.is_empty() {
            match self.client.write(&self.to_client) {
                Ok(count) => drop(self.to_client.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.client_ended && !self.session.wants_write() {
            drop(self.server.shutdown(Shutdown::Write));
        }
        if self.server_ended && self.to_client.is_empty() {
            drop(self.client.shutdown(Shutdown::Write));
        }
        Ok(())
    }

    fn read_client(&mut self) -> io::Result<()> {
        let mut piece = [0; READ_BYTES];
        match self.client.read(&mut piece) {
            Ok(0) => {
                self.client_ended = true;
                self.session.send_close_notify();
                Ok(())
            }
            Ok(count) => self.session.writer().write_all(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn read_server(&mut self) -> io::Result<()> {
        match self.session.read_tls(&mut self.server) {
            Ok(0) if self.session.is_handshaking() => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        self.session.process_new_packets().map_err(io::Error::other)?;
        let mut piece = [0; READ_BYTES];
        loop {
            match self.session.reader().read(&mut piece) {
                Ok(0) => self.server_ended = true,
                Ok(count) => {
                    self.to_client.extend_from_slice(piece.get(..count).unwrap_or_default());
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // An end without close_notify: the server broke off.
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

/// Trusts any certificate, as long as its key has signed the handshake.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
