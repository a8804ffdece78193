//! A blocking connection: received bytes in a buffer, and a time limit for each call of a test.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use squall_shards::clock;

use crate::error::{Error, Result};

/// The largest request that is sent before its response is read. 64 KiB: the buffer of a socket pair holds more.
const SENT_FIRST_BYTES_MAX: usize = 64 * 1024;

/// How much is read at once. 16 KiB.
const READ_BYTES: usize = 16 * 1024;

/// One end of a connection to the application.
pub(super) struct Wire {
    stream: UnixStream,
    /// Received bytes that are not consumed.
    received: Vec<u8>,
    timeout: Duration,
    /// When the current call of the test ends at the latest.
    deadline: Instant,
}

impl Wire {
    pub(super) fn new(stream: UnixStream, timeout: Duration) -> Self {
        Self {
            stream,
            received: Vec::new(),
            timeout,
            deadline: clock::after(timeout),
        }
    }

    /// Starts the time of the next call.
    pub(super) fn restart(&mut self) {
        self.deadline = clock::after(self.timeout);
    }

    /// Returns the received bytes that are not consumed.
    pub(super) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Drops bytes from the front of the received ones.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.received.drain(..bytes.min(self.received.len()));
    }

    /// Waits for more bytes; returns false if the application has closed the connection.
    pub(super) fn receive(&mut self) -> Result<bool> {
        let mut bytes = [0; READ_BYTES];
        loop {
            self.stream.set_read_timeout(Some(self.remaining()?))?;
            match self.stream.read(&mut bytes) {
                Ok(count) => {
                    self.received.extend_from_slice(bytes.get(..count).unwrap_or_default());
                    return Ok(count > 0);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(self.timed_out()),
                    ErrorKind::ConnectionReset => return Ok(false),
                    _ => return Err(error.into()),
                },
            }
        }
    }

    /// Takes at most `bytes_max` bytes and waits for the first; `None` if the application has closed the connection.
    pub(super) fn take(&mut self, bytes_max: u64) -> Result<Option<Vec<u8>>> {
        if self.received.is_empty() && !self.receive()? {
            return Ok(None);
        }
        let bytes = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let rest = self.received.split_off(bytes.min(self.received.len()));
        Ok(Some(std::mem::replace(&mut self.received, rest)))
    }

    /// Takes a line without its CRLF; `None` if the application has closed the connection before its end.
    pub(super) fn take_line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(self.received.get(..end).unwrap_or_default()).into_owned();
                self.consume(end + 2);
                return Ok(Some(line));
            }
            if !self.receive()? {
                return Ok(None);
            }
        }
    }

    /// Sends bytes.
    ///
    /// Bytes that the application no longer reads are dropped: what it has sent says why.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result {
        self.stream.set_write_timeout(Some(self.remaining()?))?;
        match self.stream.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Ok(()),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(self.timed_out()),
                _ => Err(error.into()),
            },
        }
    }

    /// Sends a request, and reads its response with `read`.
    ///
    /// A large request is sent by another thread meanwhile. Otherwise an application that answers before it has read
    /// everything would wait for this thread, and this thread for the application.
    pub(super) fn exchange<T>(&mut self, request: &[u8], read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if request.len() <= SENT_FIRST_BYTES_MAX {
            self.send(request)?;
            return read(self);
        }
        let mut sending = Self::new(self.stream.try_clone()?, self.timeout);
        thread::scope(|scope| {
            let sent = thread::Builder::new().spawn_scoped(scope, move || sending.send(request))?;
            let response = read(self)?;
            match sent.join() {
                Ok(sent) => sent?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
            Ok(response)
        })
    }

    /// Ends the sending half, and waits until the application has closed the connection.
    ///
    /// By then the exchange is over, and the handler's `on_finish` has run.
    pub(super) fn finish(mut self) -> Result {
        // Fails if the application has already closed the connection.
        self.stream.shutdown(Shutdown::Write).unwrap_or_default();
        while self.receive()? {
            self.received.clear();
        }
        Ok(())
    }

    fn remaining(&self) -> Result<Duration> {
        let remaining = self.deadline.saturating_duration_since(clock::now());
        match remaining.is_zero() {
            true => Err(self.timed_out()),
            false => Ok(remaining),
        }
    }

    fn timed_out(&self) -> Error {
        Error::new(format!(
            "could not wait for the application: it took longer than {:?}; look at what its handler waits for, or set \
             TestClient::timeout",
            self.timeout
        ))
    }
}
