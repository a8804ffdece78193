//! A client that sends literal bytes and reads responses strictly, over a plain blocking socket.
//!
//! Every read has a time limit, so a silent server fails the test. A reset counts as a failure unless a test allows
//! it: a refused client must be able to read the reason (RFC 9112 §9.6).

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use super::response::{Framing, Response, read_chunk_size, read_field, read_head};
use super::{Outcome, ensure, show};

/// How long the server may stay silent before a test fails. Generous: a debug build on a busy machine.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// The largest accepted response head; those of the examples have a few hundred bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A connection to the server, and the received bytes that are not parsed yet.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    consumed: usize,
    tolerates_reset: bool,
}

impl Connection {
    /// Connects, with Nagle's algorithm off so that each write is a packet of its own.
    ///
    /// # Panics
    ///
    /// When the server does not accept.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Connects, or returns the reason of the failure.
    pub(crate) fn try_open(address: SocketAddr) -> std::io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&address, SILENCE_MAX)?)
    }

    /// Takes over a socket that a test has connected.
    pub(crate) fn over(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Self {
            stream,
            received: Vec::new(),
            consumed: 0,
            tolerates_reset: false,
        })
    }

    /// Counts a reset as an end, for tests that write to a connection the server may have closed.
    pub(crate) fn tolerate_reset(&mut self) {
        self.tolerates_reset = true;
    }

    /// Sends bytes in one write.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.stream
            .write_all(bytes)
            .map_err(|error| format!("the server took no more bytes: {error}"))
    }

    /// Sends bytes to a server that may have closed already; its response decides.
    pub(crate) fn send_if_open(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    /// Sends bytes from another thread, in pieces of a given length, while this one reads.
    pub(crate) fn send_in_background(&self, bytes: Vec<u8>, piece_bytes: usize) -> Sending {
        let pieces = std::iter::once(bytes);
        self.repeat_in_background(pieces, piece_bytes)
    }

    /// Sends what an iterator yields from another thread, until it ends, the server closes, or the guard is dropped.
    pub(crate) fn repeat_in_background(
        &self,
        source: impl Iterator<Item = Vec<u8>> + Send + 'static,
        piece_bytes: usize,
    ) -> Sending {
        let mut stream = self.stream.try_clone().expect("a second handle of the socket");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let handle = self.stream.try_clone().expect("a third handle of the socket");
        let thread = thread::spawn(move || {
            for bytes in source {
                for piece in bytes.chunks(piece_bytes) {
                    if stopped.load(Ordering::Relaxed) || stream.write_all(piece).is_err() {
                        return;
                    }
                }
            }
        });
        Sending {
            stream: handle,
            stop,
            thread: Some(thread),
        }
    }

    /// Closes the sending half; the server can still answer.
    pub(crate) fn half_close(&self) -> Outcome<()> {
        self.stream
            .shutdown(Shutdown::Write)
            .map_err(|error| format!("cannot half-close: {error}"))
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        let at_once = Some(Duration::ZERO);
        SockRef::from(&self.stream)
            .set_linger(at_once)
            .expect("the socket is open");
    }

    /// Reads the next response, interim ones included.
    pub(crate) fn response(&mut self, method: &str) -> Outcome<Response> {
        let mut response = self.head(method)?;
        match response.framing {
            Framing::None => {}
            Framing::Length(length) => response.body = self.take(length)?,
            Framing::Chunked => self.chunked_body(&mut response)?,
            Framing::Close => {
                while self.fill()? > 0 {}
                response.body = self.pending().to_vec();
                self.consumed = self.received.len();
            }
        }
        Ok(response)
    }

    /// Reads the next response that is not 1xx.
    pub(crate) fn final_response(&mut self, method: &str) -> Outcome<Response> {
        loop {
            let response = self.response(method)?;
            if !response.is_interim() {
                return Ok(response);
            }
        }
    }

    /// Sends a request and reads its response.
    pub(crate) fn exchange(&mut self, request: &[u8], method: &str) -> Outcome<Response> {
        self.send(request)?;
        self.response(method)
    }

    /// Reads all responses until the server closes. `methods` are those of the requests; further responses count as
    /// to GET.
    pub(crate) fn responses_until_end(&mut self, methods: &[&str]) -> Outcome<Vec<Response>> {
        let mut responses: Vec<Response> = Vec::new();
        let mut finals = 0;
        while !self.is_at_end()? {
            let method = methods.get(finals).copied().unwrap_or("GET");
            let response = self.response(method)?;
            finals += usize::from(!response.is_interim());
            responses.push(response);
        }
        Ok(responses)
    }

    /// Waits for bytes and returns all that have arrived.
    pub(crate) fn some(&mut self) -> Outcome<Vec<u8>> {
        if self.pending().is_empty() {
            self.fill_or_fail()?;
        }
        let length = self.pending().len();
        self.take(length)
    }

    /// Waits for the end of the connection and fails if anything else comes first.
    pub(crate) fn expect_closed(&mut self) -> Outcome<()> {
        let at_end = self.is_at_end()?;
        ensure(at_end, || format!("expected the end, got \"{}\"", show(self.pending())))
    }

    /// Waits until the server sends a byte or closes; true when it has closed.
    pub(crate) fn is_at_end(&mut self) -> Outcome<bool> {
        Ok(self.pending().is_empty() && self.fill()? == 0)
    }

    /// Waits a short while for anything from the server; `None` when the time has passed, otherwise whether it closed.
    pub(crate) fn listen_for(&mut self, time: Duration) -> Outcome<Option<bool>> {
        self.wait_up_to(time)?;
        let heard = self.read_some();
        self.wait_up_to(SILENCE_MAX)?;
        match heard {
            Ok(count) => Ok(Some(count == 0)),
            Err(error) if is_timeout(&error) => Ok(None),
            Err(error) => Err(format!("the server broke the connection: {error}")),
        }
    }

    /// Whether the server has already closed its side, without waiting.
    pub(crate) fn has_been_closed(&self) -> bool {
        let mut byte = [0; 1];
        drop(self.stream.set_nonblocking(true));
        let peeked = self.stream.peek(&mut byte);
        drop(self.stream.set_nonblocking(false));
        matches!(peeked, Ok(0)) || peeked.is_err_and(|error| !is_timeout(&error))
    }

    /// Reads a head and its empty line.
    fn head(&mut self, method: &str) -> Outcome<Response> {
        let length = self.find(b"\r\n\r\n")?;
        let head = self.take(length + 4)?;
        read_head(&head, method)
    }

    /// Reads chunks, trailers and the empty line that ends them.
    fn chunked_body(&mut self, response: &mut Response) -> Outcome<()> {
        loop {
            let size = read_chunk_size(&self.line()?)?;
            if size == 0 {
                break;
            }
            let chunk = self.take(size)?;
            let end = self.take(2)?;
            ensure(end == b"\r\n", || format!("a chunk ends with \"{}\"", show(&end)))?;
            response.body.extend_from_slice(&chunk);
            response.chunks.push(chunk);
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            read_field(&line)?;
        }
    }

    /// Takes a line and drops its CRLF.
    fn line(&mut self) -> Outcome<Vec<u8>> {
        let length = self.find(b"\r\n")?;
        let line = self.take(length)?;
        self.consumed += 2;
        Ok(line)
    }

    /// The position of a delimiter in the pending bytes; reads until it has arrived.
    fn find(&mut self, delimiter: &[u8]) -> Outcome<usize> {
        loop {
            let found = self
                .pending()
                .windows(delimiter.len())
                .position(|window| window == delimiter);
            if let Some(at) = found {
                return Ok(at);
            }
            ensure(self.pending().len() <= HEAD_BYTES_MAX, || {
                format!("no end of line in \"{}\"", show(self.pending()))
            })?;
            self.fill_or_fail()?;
        }
    }

    fn take(&mut self, length: usize) -> Outcome<Vec<u8>> {
        while self.pending().len() < length {
            self.fill_or_fail()?;
        }
        let taken = self.pending().get(..length).unwrap_or_default().to_vec();
        self.consumed += length;
        Ok(taken)
    }

    fn pending(&self) -> &[u8] {
        self.received.get(self.consumed..).unwrap_or_default()
    }

    fn fill_or_fail(&mut self) -> Outcome<()> {
        let count = self.fill()?;
        ensure(count > 0, || {
            format!(
                "the server closed in the middle of a response: \"{}\"",
                show(self.pending())
            )
        })
    }

    /// Reads once; zero is the end.
    fn fill(&mut self) -> Outcome<usize> {
        match self.read_some() {
            Ok(count) => Ok(count),
            Err(error) if is_timeout(&error) => Err(format!(
                "nothing came for {SILENCE_MAX:?} after \"{}\"",
                show(self.pending())
            )),
            Err(error) => Err(format!(
                "the server broke the connection after \"{}\": {error}",
                show(self.pending())
            )),
        }
    }

    fn read_some(&mut self) -> std::io::Result<usize> {
        if self.consumed == self.received.len() || self.consumed >= READ_BYTES {
            self.received.drain(..self.consumed);
            self.consumed = 0;
        }
        let mut piece = vec![0; READ_BYTES];
        loop {
            match self.stream.read(&mut piece) {
                Ok(count) => {
                    self.received.extend_from_slice(piece.get(..count).unwrap_or_default());
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if self.tolerates_reset && error.kind() == ErrorKind::ConnectionReset => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sets how long the server may stay silent.
    pub(crate) fn wait_up_to(&self, time: Duration) -> Outcome<()> {
        self.stream
            .set_read_timeout(Some(time))
            .map_err(|error| format!("cannot set the read timeout: {error}"))
    }
}

/// A thread that sends bytes. Dropping it shuts the socket, so that no write stays blocked, and joins it.
pub(crate) struct Sending {
    stream: TcpStream,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sending {
    /// Waits until everything is sent or the server has closed.
    pub(crate) fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the sender does not panic");
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(self.stream.shutdown(Shutdown::Both));
            drop(thread.join());
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
