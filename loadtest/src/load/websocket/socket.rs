//! A blocking WebSocket client: checks a server before the load, and opens the subscribers of a fan-out.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use http::{HeaderName, HeaderValue};

use super::frame::{Opcode, write_masked};
use super::handshake::Handshake;
use super::message::{Message, MessageReader};
use crate::load::blocking::{BlockingStream, LATE, READ_BYTES};
use crate::load::target::Target;

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
    stream: BlockingStream,
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
        let mut stream = BlockingStream::connect(index, address, options.timeout)?;
        let mut handshake = Handshake::new(options.headers);
        let request = handshake.request(&target.authority, &target.path, options.headers);
        stream.write(&request, deadline)?;
        let mut buffer = [0; READ_BYTES];
        loop {
            let received = stream.read(&mut buffer, deadline)?.ok_or_else(|| anyhow!(LATE))?;
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
        self.stream.write(frames, Instant::now() + timeout)
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
            let Some(received) = self.stream.read(&mut buffer, deadline)? else {
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
        Ok((self.stream.into_nonblocking()?, self.reader))
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
        self.stream.write(&pongs, deadline)
    }
}
