//! One TLS connection as a machine, of a server or a client: ciphertext in, plaintext and records out.
//!
//! It does no I/O. Records are decrypted in place in the caller's buffer; only an incomplete record, or a handshake
//! message over several records, stays here. What must be sent goes into a buffer of the caller.
//!
//! Only this file names the record layer of rustls, its unbuffered connections. RFC 8446 is TLS 1.3, RFC 5246 is 1.2.
//!
//! Invariant: however the ciphertext is split, the plaintext and the error are the same.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, ReadTraffic, UnbufferedStatus,
};
use rustls::{ClientConfig, CommonState, ProtocolVersion, ServerConfig};

use super::record_sizes::{PACKET_BYTES, RecordSizes};
use crate::memory::{self, OutOfMemory};
use crate::message::TlsInfo;

/// The most ciphertext that is kept: a record (RFC 5246 §6.2.3 allows 16 KiB and 2 KiB, with 5 bytes before it) and
/// 16 KiB. A handshake message over several records must fit too.
const GATHERED_BYTES_MAX: usize = 16 * 1024 + 2048 + 5 + 16 * 1024;

/// What a record adds to its plaintext at most, in bytes: header, explicit nonce, tag, content type.
const RECORD_OVERHEAD_BYTES_MAX: usize = 64;

/// How many records a failed session gives, up to its alert. 4: a hello, a change of ciphers and the alert, and one more.
const ALERT_STEPS_MAX: u32 = 4;

/// The type of a record with an alert that is not encrypted (RFC 8446 §5.1).
const ALERT: u8 = 21;

/// The type of an encrypted record. Behind the first messages of a handshake the alert is one.
const ENCRYPTED: u8 = 23;

/// One end of a TLS connection.
pub(crate) struct Session {
    side: Side,
    /// What the client has asked for, on the server's end.
    server_name: Option<Box<str>>,
    /// Ciphertext that is incomplete.
    gathered: Vec<u8>,
    sizes: RecordSizes,
    peer_has_closed: bool,
    has_closed: bool,
    has_failed: bool,
}

/// Which end it is. rustls has no type that both share.
enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Evaluates one expression for the connection of either side.
macro_rules! on_side {
    ($side:expr, $connection:ident => $call:expr) => {
        match $side {
            Side::Server($connection) => $call,
            Side::Client($connection) => $call,
        }
    };
}

/// Why a session has failed.
#[derive(Debug)]
pub(crate) enum SessionError {
    /// The peer has violated TLS, or its certificate was rejected.
    Tls(rustls::Error),
    /// The peer has sent a handshake message that is longer than the limit.
    TooLong,
    /// The session has failed before, this end has sent its `close_notify`, or the handshake is not complete.
    NotOpen,
    OutOfMemory(OutOfMemory),
}

/// What one step of rustls has led to.
enum Step {
    /// Another step may follow.
    Again,
    /// More ciphertext is needed.
    Idle,
    /// The peer has sent its `close_notify`.
    PeerClosed,
}

impl Session {
    /// Begins the server's end of a connection, whose client has asked for this name.
    ///
    /// rustls does not tell the name behind its unbuffered connections, so the caller reads it in the client's hello.
    ///
    /// # Errors
    ///
    /// The configuration fits no session.
    pub(crate) fn server(config: Arc<ServerConfig>, name: Option<String>) -> Result<Self, SessionError> {
        let connection = UnbufferedServerConnection::new(config).map_err(SessionError::Tls)?;
        let name = name.map(String::into_boxed_str);
        Ok(Self::new(Side::Server(connection), name))
    }

    /// Begins the client's end of a connection, which offers these protocols (ALPN). The first
    /// [`receive`](Self::receive), of no bytes, writes its hello.
    ///
    /// # Errors
    ///
    /// The configuration fits no session.
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        protocols: &[&[u8]],
    ) -> Result<Self, SessionError> {
        let protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let connection = UnbufferedClientConnection::new_with_alpn(config, name, protocols);
        let connection = connection.map_err(SessionError::Tls)?;
        Ok(Self::new(Side::Client(connection), None))
    }

    fn new(side: Side, server_name: Option<Box<str>>) -> Self {
        Self {
            side,
            server_name,
            gathered: Vec::new(),
            sizes: RecordSizes::new(),
            peer_has_closed: false,
            has_closed: false,
            has_failed: false,
        }
    }

    /// Decrypts received bytes, which it overwrites. It appends their plaintext to `plaintext`, and what the protocol
    /// itself sends to `output`: handshakes, tickets, alerts.
    ///
    /// # Errors
    ///
    /// The session is over; a fault of the peer ends `output` with the alert that names it. Plaintext before the fault is valid.
    pub(crate) fn receive(
        &mut self,
        received: &mut [u8],
        plaintext: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<(), SessionError> {
        if self.has_failed {
            return Err(SessionError::NotOpen);
        }
        if self.peer_has_closed {
            // RFC 8446 §6.1: data behind the close_notify is ignored.
            return Ok(());
        }
        let outcome = self.decrypt(received, plaintext, output);
        self.has_failed = outcome.is_err();
        outcome
    }

    fn decrypt(
        &mut self,
        received: &mut [u8],
        plaintext: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<(), SessionError> {
        if self.gathered.is_empty() {
            let used = self.process(received, plaintext, output)?;
            let rest = received.get(used..).unwrap_or_default();
            return self.gather(rest);
        }
        self.gather(received)?;
        let mut gathered = std::mem::take(&mut self.gathered);
        let used = self.process(&mut gathered, plaintext, output)?;
        if used < gathered.len() {
            gathered.drain(..used);
            self.gathered = gathered;
        }
        Ok(())
    }

    /// Keeps incomplete ciphertext for the next bytes.
    fn gather(&mut self, rest: &[u8]) -> Result<(), SessionError> {
        if self.peer_has_closed || rest.is_empty() {
            return Ok(());
        }
        // One buffer of the kernel beyond the limit is possible: the limit holds for what is kept already.
        if self.gathered.len() > GATHERED_BYTES_MAX {
            return Err(SessionError::TooLong);
        }
        memory::append(&mut self.gathered, rest).map_err(SessionError::OutOfMemory)
    }

    /// Processes all complete records, and returns how many bytes they had.
    fn process(
        &mut self,
        ciphertext: &mut [u8],
        plaintext: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<usize, SessionError> {
        let mut used = 0;
        loop {
            let rest = ciphertext.get_mut(used..).unwrap_or_default();
            let (discard, step) = self.side.step(rest, plaintext, output);
            used += discard;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Idle) => return Ok(used),
                Ok(Step::PeerClosed) => {
                    self.peer_has_closed = true;
                    return Ok(ciphertext.len());
                }
                Err(error) => {
                    let rest = ciphertext.get_mut(used..).unwrap_or_default();
                    self.side.write_alert(rest, output);
                    return Err(error);
                }
            }
        }
    }

    /// Encrypts bytes, and appends their records to `output`.
    ///
    /// # Errors
    ///
    /// The session is not open, its keys are used up, or memory is short.
    pub(crate) fn send(&mut self, plaintext: &[u8], now: Instant, output: &mut Vec<u8>) -> Result<(), SessionError> {
        let records_max = 1 + plaintext.len() / PACKET_BYTES;
        let bytes_max = plaintext.len() + records_max * RECORD_OVERHEAD_BYTES_MAX;
        memory::make_room_to_answer(output, bytes_max).map_err(SessionError::OutOfMemory)?;
        self.sizes.begin(now);
        let mut left = plaintext;
        while !left.is_empty() {
            let (record, rest) = left.split_at(self.sizes.next(left.len(), plaintext.len()));
            self.write(Some(record), output)?;
            left = rest;
        }
        Ok(())
    }

    /// Appends the `close_notify` to `output`; only the first call does, and nothing can be sent behind it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub(crate) fn close_notify(&mut self, output: &mut Vec<u8>) -> Result<(), SessionError> {
        let written = self.write(None, output);
        self.has_closed = true;
        written
    }

    /// Writes one record of plaintext, or the close_notify, behind what the protocol sends itself.
    fn write(&mut self, plaintext: Option<&[u8]>, output: &mut Vec<u8>) -> Result<(), SessionError> {
        if self.has_closed || self.has_failed {
            return Err(SessionError::NotOpen);
        }
        let Self { side, gathered, .. } = self;
        on_side!(side, connection => loop {
            // The gathered bytes are incomplete, so no plaintext comes out.
            let UnbufferedStatus { state, .. } = connection.process_tls_records(gathered);
            match state.map_err(SessionError::Tls)? {
                ConnectionState::WriteTraffic(mut traffic) => return match plaintext {
                    Some(plaintext) => append(output, plaintext.len(), |room| traffic.encrypt(plaintext, room)),
                    None => append(output, 0, |room| traffic.queue_close_notify(room)),
                },
                state => match advance(state, &mut Vec::new(), output)? {
                    (_, Step::Again | Step::PeerClosed) => {}
                    (_, Step::Idle) => return Err(SessionError::NotOpen),
                },
            }
        })
    }

    fn state(&self) -> &CommonState {
        on_side!(&self.side, connection => connection)
    }

    /// Returns whether this is the client's end.
    pub(crate) fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    /// Returns whether the handshake is not complete, so that nothing can be sent.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.state().is_handshaking()
    }

    /// Returns whether the peer has announced the end of what it sends (`close_notify`).
    ///
    /// An end of the connection without it may be forged: content that ends with the connection is incomplete.
    pub(crate) fn peer_has_closed(&self) -> bool {
        self.peer_has_closed
    }

    /// Returns whether this end has sent its `close_notify`.
    pub(crate) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Returns what both ends have agreed on, and the peer's certificates.
    pub(crate) fn info(&self) -> TlsInfo {
        let state = self.state();
        let version = match state.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "",
        };
        let suite = state.negotiated_cipher_suite();
        let alpn = state
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into_owned());
        let certificates = state.peer_certificates().unwrap_or_default();
        TlsInfo {
            version,
            cipher_suite: suite.and_then(|suite| suite.suite().as_str()).unwrap_or_default(),
            alpn,
            server_name: self.server_name.as_deref().map(str::to_owned),
            peer_certificates: certificates.iter().map(|own| Bytes::copy_from_slice(own)).collect(),
        }
    }
}

impl Side {
    /// Processes ciphertext until rustls wants the caller; returns how many bytes that used.
    fn step(
        &mut self,
        ciphertext: &mut [u8],
        plaintext: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> (usize, Result<Step, SessionError>) {
        on_side!(self, connection => {
            let UnbufferedStatus { discard, state } = connection.process_tls_records(ciphertext);
            match state {
                Err(error) => (discard, Err(SessionError::Tls(error))),
                Ok(state) => match advance(state, plaintext, output) {
                    Ok((more, step)) => (discard + more, Ok(step)),
                    Err(error) => (discard, Err(error)),
                },
            }
        })
    }

    /// Writes the alert of a failed session, if rustls has one.
    ///
    /// rustls gives what it has queued before it reads on. Once the alert is out it must not read the fault again.
    fn write_alert(&mut self, ciphertext: &mut [u8], output: &mut Vec<u8>) {
        on_side!(self, connection => for _ in 0..ALERT_STEPS_MAX {
            let UnbufferedStatus { state, .. } = connection.process_tls_records(ciphertext);
            let Ok(ConnectionState::EncodeTlsData(data)) = state else {
                return;
            };
            let start = output.len();
            // Without memory the peer gets no alert.
            if encode(data, output).is_err() || matches!(output.get(start), Some(&(ALERT | ENCRYPTED))) {
                return;
            }
        })
    }
}

/// Does what a state of rustls asks for; returns how many more bytes of ciphertext that used.
fn advance<Data>(
    state: ConnectionState<'_, '_, Data>,
    plaintext: &mut Vec<u8>,
    output: &mut Vec<u8>,
) -> Result<(usize, Step), SessionError> {
    match state {
        ConnectionState::ReadTraffic(traffic) => Ok((read(traffic, plaintext)?, Step::Again)),
        ConnectionState::EncodeTlsData(data) => encode(data, output).map(|()| (0, Step::Again)),
        ConnectionState::TransmitTlsData(data) => {
            // The output leaves before anything that follows.
            data.done();
            Ok((0, Step::Again))
        }
        // Early data is off, so rustls gives none.
        ConnectionState::ReadEarlyData(_) => Ok((0, Step::Again)),
        ConnectionState::PeerClosed | ConnectionState::Closed => Ok((0, Step::PeerClosed)),
        _ => Ok((0, Step::Idle)),
    }
}

/// Appends decrypted records to `plaintext`.
fn read<Data>(mut traffic: ReadTraffic<'_, '_, Data>, plaintext: &mut Vec<u8>) -> Result<usize, SessionError> {
    let mut used = 0;
    while let Some(record) = traffic.next_record() {
        let record = record.map_err(SessionError::Tls)?;
        used += record.discard;
        memory::append(plaintext, record.payload).map_err(SessionError::OutOfMemory)?;
    }
    Ok(used)
}

/// Appends a message of the protocol to `output`.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, output: &mut Vec<u8>) -> Result<(), SessionError> {
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = data.encode(&mut []) else {
        return Ok(());
    };
    let room = make_room(output, required_size)?;
    // It fits, so the error is gone.
    drop(data.encode(room));
    Ok(())
}

/// Appends a record that `write` makes of this many bytes of plaintext to `output`.
fn append(
    output: &mut Vec<u8>,
    plaintext_bytes: usize,
    write: impl FnOnce(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), SessionError> {
    let start = output.len();
    let room = make_room(output, plaintext_bytes + RECORD_OVERHEAD_BYTES_MAX)?;
    let written = write(room);
    output.truncate(start + *written.as_ref().unwrap_or(&0));
    // The room suffices, so the keys are used up.
    written.map(|_| ()).map_err(|_| SessionError::NotOpen)
}

/// Appends this many zeros to `output`, to be overwritten.
fn make_room(output: &mut Vec<u8>, bytes: usize) -> Result<&mut [u8], SessionError> {
    memory::make_room_to_answer(output, bytes).map_err(SessionError::OutOfMemory)?;
    let start = output.len();
    output.resize(start + bytes, 0);
    Ok(output.get_mut(start..).unwrap_or_default())
}

impl fmt::Display for SessionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(error) => error.fmt(formatter),
            Self::TooLong => write!(
                formatter,
                "a handshake message is longer than {GATHERED_BYTES_MAX} bytes"
            ),
            Self::NotOpen => formatter.write_str("the TLS session is not open"),
            Self::OutOfMemory(_) => formatter.write_str("memory is short"),
        }
    }
}

impl std::error::Error for SessionError {}

impl From<SessionError> for io::Error {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::OutOfMemory(error) => error.into(),
            SessionError::NotOpen => Self::new(io::ErrorKind::BrokenPipe, error),
            SessionError::Tls(_) | SessionError::TooLong => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("is_handshaking", &self.is_handshaking())
            .field("peer_has_closed", &self.peer_has_closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
