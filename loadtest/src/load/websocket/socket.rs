//! A WebSocket opened and spoken to by blocking calls: how a server is checked before it is loaded, and how subscribers arrive.
//!
//! Every wait has a deadline, and every failure is said in words for the user.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use http::{HeaderName, HeaderValue};

use super::frame::{Opcode, write_masked};
use super::handshake::Handshake;
use super::message::{Message, MessageReader};
use crate::load::target::Target;

/// Bytes asked for by one read.
const READ_BYTES: usize = 16 * 1024;

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    /// What came together with the handshake's answer and belongs to the first frames.
    pub(crate) surplus: Vec<u8>,
}

impl Socket {
    /// Connects to `address` and shakes hands for `target`, all within `timeout`.
    ///
    /// # Errors
    /// The connection is refused, or what answers is not the WebSocket that was asked for.
    pub(crate) fn open(
        address: SocketAddr,
        target: &Target,
        headers: &[(HeaderName, HeaderValue)],
        timeout: Duration,
    ) -> Result<Self> {
        let deadline = Instant::now() + timeout;
        let mut stream =
            TcpStream::connect_timeout(&address, timeout).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let mut handshake = Handshake::new();
        let request = handshake.request(&target.authority, &target.path, headers);
        write(&mut stream, &request, deadline)?;
        loop {
            let mut buffer = [0; READ_BYTES];
            let received = read(&mut stream, &mut buffer, deadline)?;
            ensure!(
                !received.is_empty(),
                "the server closed the connection during the handshake"
            );
            if let Some(surplus) = handshake.receive(received)? {
                return Ok(Self { stream, surplus });
            }
        }
    }

    /// Sends bytes that are frames already.
    pub(crate) fn send(&mut self, frames: &[u8], timeout: Duration) -> Result<()> {
        write(&mut self.stream, frames, Instant::now() + timeout)
    }

    /// Reads until one data message of at most `message_bytes_max` bytes has come, answering pings.
    pub(crate) fn receive(&mut self, message_bytes_max: usize, timeout: Duration) -> Result<Vec<u8>> {
        let deadline = Instant::now() + timeout;
        let mut reader = MessageReader::new(message_bytes_max);
        let mut received = std::mem::take(&mut self.surplus);
        let mut buffer = [0; READ_BYTES];
        loop {
            let mut messages = VecDeque::new();
            let mut pongs = Vec::new();
            reader.receive(&received, |message| {
                match message {
                    Message::Data { payload, .. } => messages.push_back(payload.to_vec()),
                    Message::Ping(payload) => write_masked(Opcode::Pong, payload, [0; 4], &mut pongs),
                    Message::Pong => {}
                    Message::Close(Some(code)) => bail!("the server closed the WebSocket with code {code}"),
                    Message::Close(None) => bail!("the server closed the WebSocket"),
                }
                Ok(())
            })?;
            write(&mut self.stream, &pongs, deadline)?;
            if let Some(message) = messages.pop_front() {
                return Ok(message);
            }
            received = read(&mut self.stream, &mut buffer, deadline)?.to_vec();
            ensure!(
                !received.is_empty(),
                "the server closed the connection without a close frame"
            );
        }
    }
}

fn write(stream: &mut TcpStream, bytes: &[u8], deadline: Instant) -> Result<()> {
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    stream.write_all(bytes).map_err(said_plainly)
}

/// Reads once; nothing means that the server closed its direction.
fn read<'buffer>(stream: &mut TcpStream, buffer: &'buffer mut [u8], deadline: Instant) -> Result<&'buffer [u8]> {
    loop {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        match stream.read(buffer) {
            Ok(count) => return Ok(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(said_plainly(error)),
        }
    }
}

fn remaining(deadline: Instant) -> Result<Duration> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    ensure!(!remaining.is_zero(), "the server did not answer in time");
    Ok(remaining)
}

fn said_plainly(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => anyhow!("the server did not answer in time"),
        _ => anyhow::Error::new(error).context("the connection broke"),
    }
}
