//! A blocking client of a protocol that sends messages: checks a server before the load, and opens subscribers.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use http::{HeaderName, HeaderValue};

use super::blocking::{BlockingStream, LATE, READ_BYTES};
use super::target::Target;

/// The options of all connections of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketOptions<'plan> {
    pub(crate) headers: &'plan [(HeaderName, HeaderValue)],
    /// The longest message; a longer one is an error.
    pub(crate) message_bytes_max: usize,
    /// The longest time for connecting and the response head together.
    pub(crate) timeout: Duration,
}

/// A reader of the messages of one protocol.
pub(crate) trait Protocol: Sized {
    /// What reads the response to the opening request.
    type Opening;

    /// The error where the server closes the connection in place of a response.
    const CLOSED_EARLY: &'static str;

    /// The error where the server closes the connection later.
    const CLOSED: &'static str;

    /// Returns what reads the response, and the request.
    fn request(target: &Target, options: &SocketOptions<'_>) -> (Self::Opening, Vec<u8>);

    /// Reads a part of the response; returns the reader and the bytes behind the response once it is complete.
    ///
    /// # Errors
    ///
    /// The response is not the one that opens this protocol.
    fn open(
        opening: &mut Self::Opening,
        received: &[u8],
        options: &SocketOptions<'_>,
    ) -> Result<Option<(Self, Vec<u8>)>>;

    /// Adds the messages that `received` completes, and returns the bytes to send in answer.
    ///
    /// # Errors
    ///
    /// The server ended the protocol, violated it, or sent what no run asks for.
    fn take(&mut self, received: &[u8], messages: &mut VecDeque<Vec<u8>>) -> Result<Vec<u8>>;
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Socket<P> {
    stream: BlockingStream,
    reader: P,
    /// Messages received with an earlier one; at most one read.
    waiting: VecDeque<Vec<u8>>,
}

impl<P: Protocol> Socket<P> {
    /// Connects to `address` as connection number `index` of a run and opens the protocol at `target`, within the
    /// timeout.
    ///
    /// # Errors
    ///
    /// The connection fails, or the response is not the one that opens the protocol.
    pub(crate) fn open(
        index: usize,
        address: SocketAddr,
        target: &Target,
        options: &SocketOptions<'_>,
    ) -> Result<Self> {
        let deadline = Instant::now() + options.timeout;
        let mut stream = BlockingStream::connect(index, address, options.timeout)?;
        let (mut opening, request) = P::request(target, options);
        stream.write(&request, deadline)?;
        let mut buffer = [0; READ_BYTES];
        loop {
            let received = stream.read(&mut buffer, deadline)?.ok_or_else(|| anyhow!(LATE))?;
            ensure!(!received.is_empty(), P::CLOSED_EARLY);
            if let Some((reader, surplus)) = P::open(&mut opening, received, options)? {
                let mut socket = Self {
                    stream,
                    reader,
                    waiting: VecDeque::new(),
                };
                socket.take(&surplus, deadline)?;
                return Ok(socket);
            }
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// The connection failed, or the server did not accept the bytes within `timeout`.
    pub(crate) fn send(&mut self, bytes: &[u8], timeout: Duration) -> Result<()> {
        self.stream.write(bytes, Instant::now() + timeout)
    }

    /// Returns the next message, or `None` after `timeout`.
    ///
    /// # Errors
    ///
    /// The server closed the connection or violated the protocol.
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
            ensure!(!received.is_empty(), P::CLOSED);
            self.take(received, deadline)?;
        }
    }

    /// Returns the connection, now non-blocking, and its reader with any partial message.
    pub(crate) fn into_parts(self) -> Result<(TcpStream, P)> {
        Ok((self.stream.into_nonblocking()?, self.reader))
    }

    fn take(&mut self, received: &[u8], deadline: Instant) -> Result<()> {
        let answer = self.reader.take(received, &mut self.waiting)?;
        if answer.is_empty() {
            return Ok(());
        }
        self.stream.write(&answer, deadline)
    }
}
