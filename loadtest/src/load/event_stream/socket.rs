//! A blocking client of one event stream: opens the subscribers of a fan-out.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use http::{HeaderName, HeaderValue};

use super::EventReader;
use super::response::{HeadReader, request};
use crate::load::blocking::{BlockingStream, LATE, READ_BYTES};
use crate::load::target::Target;

/// The options of all event streams of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventSocketOptions<'plan> {
    pub(crate) headers: &'plan [(HeaderName, HeaderValue)],
    /// The longest data of an event; longer data is an error.
    pub(crate) data_bytes_max: usize,
    /// The longest time for connecting and the response head together.
    pub(crate) timeout: Duration,
}

/// An open event stream.
#[derive(Debug)]
pub(crate) struct EventSocket {
    stream: BlockingStream,
    reader: EventReader,
    /// Messages received with an earlier one; at most one read.
    waiting: VecDeque<Vec<u8>>,
}

impl EventSocket {
    /// Connects to `address` as connection number `index` of a run and requests the stream at `target`, within the
    /// timeout.
    ///
    /// # Errors
    ///
    /// The connection fails, or the response is not an event stream.
    pub(crate) fn open(
        index: usize,
        address: SocketAddr,
        target: &Target,
        options: &EventSocketOptions<'_>,
    ) -> Result<Self> {
        let deadline = Instant::now() + options.timeout;
        let mut stream = BlockingStream::connect(index, address, options.timeout)?;
        stream.write(&request(&target.authority, &target.path, options.headers), deadline)?;
        let mut head = HeadReader::default();
        let mut buffer = [0; READ_BYTES];
        loop {
            let received = stream.read(&mut buffer, deadline)?.ok_or_else(|| anyhow!(LATE))?;
            ensure!(
                !received.is_empty(),
                "the server closed the connection before it answered"
            );
            if let Some((framing, surplus)) = head.receive(received)? {
                let mut socket = Self {
                    stream,
                    reader: EventReader::new(framing, options.data_bytes_max),
                    waiting: VecDeque::new(),
                };
                socket.take(&surplus)?;
                return Ok(socket);
            }
        }
    }

    /// Returns the data of the next message, or `None` after `timeout`.
    ///
    /// # Errors
    ///
    /// The server ended the stream, violated the protocol, or sent an event of another name.
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
            ensure!(!received.is_empty(), "the server closed the event stream");
            self.take(received)?;
        }
    }

    /// Returns the connection, now non-blocking, and its reader with any partial event.
    pub(crate) fn into_parts(self) -> Result<(TcpStream, EventReader)> {
        Ok((self.stream.into_nonblocking()?, self.reader))
    }

    fn take(&mut self, received: &[u8]) -> Result<()> {
        self.reader.receive(received, |event| {
            if !event.name.is_empty() {
                bail!(
                    "the server sent an event named `{}`; this run publishes only messages",
                    event.name.escape_ascii()
                );
            }
            self.waiting.push_back(event.data.to_vec());
            Ok(())
        })
    }
}
