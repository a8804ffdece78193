//! A blocking WebSocket client: checks a server before the load, and opens the subscribers of a fan-out.
//!
//! Each wait has a deadline, and each error is worded for the user.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use http::{HeaderName, HeaderValue};
use socket2::{Domain, Protocol, Type};

use super::frame::{Opcode, write_masked};
use super::handshake::Handshake;
use super::message::{Message, MessageReader};
use crate::load::connection::{RESET_ON_CLOSE, source};
use crate::load::target::Target;

/// Bytes of one read.
const READ_BYTES: usize = 16 * 1024;

/// The options of all connections of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketOptions<'plan> {
    pub(crate) headers: &'plan [(HeaderName, HeaderValue)],
    /// The longest message; a longer one is an error.
    pub(crate) message_bytes_max: usize,
    /// The longest time for connecting and the handshake together.
    pub(crate) timeout: Duration,
}

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    reader: MessageReader,
    /// Messages received with an earlier one; at most one read.
    waiting: VecDeque<Vec<u8>>,
}

impl Socket {
    /// Connects to `address` as connection number `index` of a run and completes the handshake for `target`, within the
    /// timeout.
    ///
    /// # Errors
    ///
    /// The connection or the handshake fails.
    pub(crate) fn open(
        index: usize,
        address: SocketAddr,
        target: &Target,
        options: &SocketOptions<'_>,
    ) -> Result<Self> {
        let deadline = Instant::now() + options.timeout;
        let mut stream =
            connect(index, address, options.timeout).with_context(|| format!("could not connect to {address}"))?;
        let mut handshake = Handshake::new(options.headers);
        let request = handshake.request(&target.authority, &target.path, options.headers);
        write(&mut stream, &request, deadline)?;
        let mut buffer = [0; READ_BYTES];
        loop {
            let received = read(&mut stream, &mut buffer, deadline)?.ok_or_else(|| anyhow!(LATE))?;
            ensure!(
                !received.is_empty(),
                "the server closed the connection during the handshake"
            );
            if let Some(surplus) = handshake.receive(received)? {
                let mut socket = Self {
                    stream,
                    reader: MessageReader::new(options.message_bytes_max).inflating(handshake.is_deflated()),
                    waiting: VecDeque::new(),
                };
                socket.take(&surplus, deadline)?;
                return Ok(socket);
            }
        }
    }

    /// Sends encoded frames.
    ///
    /// # Errors
    ///
    /// The connection failed, or the server did not accept the bytes within `timeout`.
    pub(crate) fn send(&mut self, frames: &[u8], timeout: Duration) -> Result<()> {
        write(&mut self.stream, frames, Instant::now() + timeout)
    }

    /// Returns the next message, or `None` after `timeout`; answers pings.
    ///
    /// # Errors
    ///
    /// The server closed the WebSocket or violated the protocol.
    pub(crate) fn receive(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + timeout;
        let mut buffer = [0; READ_BYTES];
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(Some(message));
            }
            let Some(received) = read(&mut self.stream, &mut buffer, deadline)? else {
                return Ok(None);
            };
            ensure!(
                !received.is_empty(),
                "the server closed the connection without a close frame"
            );
            self.take(received, deadline)?;
        }
    }

    /// Returns the connection, now non-blocking, and its reader with any partial frame.
    pub(crate) fn into_parts(self) -> Result<(TcpStream, MessageReader)> {
        self.stream.set_nonblocking(true)?;
        Ok((self.stream, self.reader))
    }

    fn take(&mut self, received: &[u8], deadline: Instant) -> Result<()> {
        let mut pongs = Vec::new();
        self.reader.receive(received, |message| {
            match message {
                Message::Data { is_text: true, .. } => {
                    bail!("the server sent a text message; this run sends only binary ones")
                }
                Message::Data { payload, .. } => self.waiting.push_back(payload.to_vec()),
                Message::Ping(payload) => write_masked(Opcode::Pong, payload, [0; 4], &mut pongs),
                Message::Pong => {}
                Message::Close(Some(code)) => bail!("the server closed the WebSocket with code {code}"),
                Message::Close(None) => bail!("the server closed the WebSocket"),
            }
            Ok(())
        })?;
        if pongs.is_empty() {
            return Ok(());
        }
        write(&mut self.stream, &pongs, deadline)
    }
}

/// Returns the first address of the target's host.
///
/// # Errors
///
/// The host is not resolved within `timeout`.
pub(crate) fn first_address(target: &Target, timeout: Duration) -> Result<SocketAddr> {
    let addresses = target.resolve(timeout)?;
    addresses
        .first()
        .copied()
        .with_context(|| format!("{target} has no address"))
}

/// The error text after a deadline.
const LATE: &str = "the server did not answer within --timeout";

fn connect(index: usize, address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = source(index, address) {
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.set_linger(RESET_ON_CLOSE)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.connect_timeout(&address.into(), timeout)?;
    Ok(socket.into())
}

fn write(stream: &mut TcpStream, bytes: &[u8], deadline: Instant) -> Result<()> {
    let remaining = remaining(deadline).ok_or_else(|| anyhow!(LATE))?;
    stream.set_write_timeout(Some(remaining))?;
    stream.write_all(bytes).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => anyhow!(LATE),
        _ => broken(error),
    })
}

/// Reads once; returns an empty slice at the end of the stream, and `None` at the deadline.
fn read<'buffer>(
    stream: &mut TcpStream,
    buffer: &'buffer mut [u8],
    deadline: Instant,
) -> Result<Option<&'buffer [u8]>> {
    loop {
        let Some(remaining) = remaining(deadline) else {
            return Ok(None);
        };
        stream.set_read_timeout(Some(remaining))?;
        match stream.read(buffer) {
            Ok(count) => return Ok(Some(buffer.get(..count).unwrap_or_default())),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                _ => return Err(broken(error)),
            },
        }
    }
}

/// Returns the time until `deadline`; `None` once it has passed.
fn remaining(deadline: Instant) -> Option<Duration> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    (!remaining.is_zero()).then_some(remaining)
}

fn broken(error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context("the connection failed")
}
