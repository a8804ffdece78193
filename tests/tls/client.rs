//! A client of rustls' buffered connections, which share no code with the server's, over a blocking socket.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use sha2::{Digest as _, Sha256};

use crate::authority::{Authority, Issued};

/// How long the server may stay silent.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How a test connects.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) config: ClientConfig,
    pub(crate) name: String,
}

impl Options {
    /// Trusts an authority and asks for `localhost`.
    pub(crate) fn trusting(authority: &Authority) -> Self {
        Self::with_versions(authority, rustls::ALL_VERSIONS)
    }

    pub(crate) fn with_versions(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let config = builder(versions)
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        Self {
            config,
            name: "localhost".to_owned(),
        }
    }

    /// Presents a certificate to the server.
    pub(crate) fn presenting(authority: &Authority, own: &Issued) -> Self {
        let config = builder(rustls::ALL_VERSIONS)
            .with_root_certificates(authority.roots())
            .with_client_auth_cert(own.chain.clone(), own.private.clone_key())
            .unwrap();
        Self {
            config,
            name: "localhost".to_owned(),
        }
    }

    /// Accepts one certificate, by its SHA-256 in hexadecimal digits, of any issuer.
    pub(crate) fn accepting(digits: &str) -> Self {
        let config = builder(rustls::ALL_VERSIONS)
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(digits.to_owned())))
            .with_no_client_auth();
        Self {
            config,
            name: "localhost".to_owned(),
        }
    }

    pub(crate) fn name(self, name: &str) -> Self {
        let name = name.to_owned();
        Self { name, ..self }
    }

    pub(crate) fn protocols(mut self, names: &[&[u8]]) -> Self {
        self.config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        self
    }

    /// Connects and completes the handshake.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<Client> {
        let config = Arc::new(self.config.clone());
        self.connect_as(address, config)
    }

    /// The same, behind something that a proxy sends first.
    pub(crate) fn connect_after(
        &self,
        address: SocketAddr,
        first: impl FnOnce(&mut TcpStream) -> io::Result<()>,
    ) -> io::Result<Client> {
        let mut stream = TcpStream::connect(address)?;
        first(&mut stream)?;
        self.open(stream, Arc::new(self.config.clone()))
    }

    /// The same with a configuration that several connections share, and with it their tickets.
    pub(crate) fn connect_as(&self, address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Client> {
        self.open(TcpStream::connect(address)?, config)
    }

    fn open(&self, stream: TcpStream, config: Arc<ClientConfig>) -> io::Result<Client> {
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.name.clone()).unwrap();
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut client_stream = &stream;
        while session.is_handshaking() {
            session.complete_io(&mut client_stream)?;
        }
        Ok(Client { session, stream })
    }
}

fn builder(
    versions: &[&'static SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
}

/// Accepts the certificate with this SHA-256. Its key need not prove itself: the test compares certificates only.
#[derive(Debug)]
struct Pinned(String);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = sha256(certificate);
        match found == self.0 {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::Error::General(format!("the certificate is {found}"))),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A connection whose handshake is complete.
pub(crate) struct Client {
    pub(crate) session: ClientConnection,
    pub(crate) stream: TcpStream,
}

impl Client {
    /// Sends plaintext.
    pub(crate) fn send(&mut self, plaintext: &[u8]) -> io::Result<()> {
        self.session.writer().write_all(plaintext)?;
        while self.session.wants_write() {
            self.session.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// Requests a path of a host, and returns the response.
    pub(crate) fn get(&mut self, host: &str, path: &str) -> io::Result<String> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
        self.response()
    }

    /// Reads a response with a `Content-Length`.
    pub(crate) fn response(&mut self) -> io::Result<String> {
        let mut received = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&received).into_owned();
            if let Some((head, content)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length")
                        .then(|| value.parse().unwrap())
                });
                if content.len() >= length.unwrap_or(0_usize) {
                    return Ok(text);
                }
            }
            let mut piece = [0; 16 * 1024];
            let count = self.tls().read(&mut piece)?;
            if count == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("ended after {text:?}"),
                ));
            }
            received.extend(&piece[..count]);
        }
    }

    /// Reads to the end; an end without `close_notify` is an error (`UnexpectedEof`).
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.tls().read_to_end(&mut rest)?;
        Ok(rest)
    }

    fn tls(&mut self) -> rustls::Stream<'_, ClientConnection, TcpStream> {
        rustls::Stream::new(&mut self.session, &mut self.stream)
    }

    /// Ends the sending half with a `close_notify`.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        while self.session.wants_write() {
            self.session.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// Ends the sending half without one.
    pub(crate) fn cut(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// The serial number and the rest of the server's certificate, to compare two.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.session.peer_certificates().unwrap()[0].to_vec()
    }
}
