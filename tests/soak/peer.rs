//! A client's end of a connection, over TCP or a Unix socket. It sends literal bytes, leaves in every way, and reads
//! responses strictly: whole, or visibly broken off.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::support::response::{Framing, Response, read_chunk_size, read_field, read_head};
use crate::support::show;

/// How long the server may stay silent before a scenario fails. Longer than any of its own deadlines.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// The receive buffer of a slow reader.
const LITTLE_ROOM_BYTES: usize = 4096;

/// How many bytes are read at once.
const READ_BYTES: usize = 64 * 1024;

/// An address of the server.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection.
pub(crate) struct Peer {
    wire: Wire,
    received: Vec<u8>,
    consumed: usize,
    /// A response has begun and is incomplete.
    is_inside: bool,
}

/// Why a whole response is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResponseError {
    /// The connection ended, or was reset, before the first byte of a response.
    Nothing,
    /// It ended, or was reset, in the middle of a response, visibly for the client.
    Broken,
    /// Nothing came for [`SILENCE_MAX`].
    Silent,
    /// The bytes are malformed.
    Malformed(String),
}

impl Peer {
    pub(crate) fn connect(address: &Address) -> std::io::Result<Self> {
        Self::over(match address {
            Address::Tcp(address) => Wire::Tcp(TcpStream::connect(address)?),
            Address::Unix(path) => Wire::Unix(UnixStream::connect(path)?),
        })
    }

    /// Connects with a small receive buffer.
    pub(crate) fn connect_with_little_room(address: &Address) -> std::io::Result<Self> {
        let Address::Tcp(address) = address else {
            return Self::connect(address);
        };
        let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
        socket.set_recv_buffer_size(LITTLE_ROOM_BYTES)?;
        socket.connect(&(*address).into())?;
        Self::over(Wire::Tcp(socket.into()))
    }

    fn over(wire: Wire) -> std::io::Result<Self> {
        let time_limit = Some(SILENCE_MAX);
        match &wire {
            Wire::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(time_limit)?;
                stream.set_write_timeout(time_limit)?;
            }
            Wire::Unix(stream) => {
                stream.set_read_timeout(time_limit)?;
                stream.set_write_timeout(time_limit)?;
            }
        }
        Ok(Self {
            wire,
            received: Vec::new(),
            consumed: 0,
            is_inside: false,
        })
    }

    /// Sends bytes and returns whether the server took them. A server that has closed takes none; its earlier
    /// response decides.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = match &mut self.wire {
            Wire::Tcp(stream) => stream.write_all(bytes),
            Wire::Unix(stream) => stream.write_all(bytes),
        };
        sent.is_ok()
    }

    pub(crate) fn half_close(&self) {
        let closed = match &self.wire {
            Wire::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Wire::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
        // A connection that the server has reset cannot be shut down.
        closed.unwrap_or_default();
    }

    /// Resets the connection. A Unix socket has no reset except by unread bytes, so it is closed.
    pub(crate) fn reset(self) {
        if let Wire::Tcp(stream) = &self.wire {
            SockRef::from(stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap_or_default();
        }
    }

    /// Reads once, at most `bytes_max`, and returns the count.
    pub(crate) fn read_some(&mut self, bytes_max: usize) -> Result<usize, ResponseError> {
        let mut piece = vec![0; bytes_max];
        loop {
            let read = match &mut self.wire {
                Wire::Tcp(stream) => stream.read(&mut piece),
                Wire::Unix(stream) => stream.read(&mut piece),
            };
            match read {
                Ok(count) => {
                    self.received.extend_from_slice(&piece[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(ResponseError::Silent);
                }
                Err(_) => return Err(self.end()),
            }
        }
    }

    /// Reads the next response that is not 1xx.
    pub(crate) fn response(&mut self, method: &str) -> Result<Response, ResponseError> {
        loop {
            let response = self.any_response(method)?;
            if response.status == 101 || !response.is_interim() {
                return Ok(response);
            }
        }
    }

    /// Reads the next response, 1xx included.
    fn any_response(&mut self, method: &str) -> Result<Response, ResponseError> {
        let head = self.until(b"\r\n\r\n")?;
        self.is_inside = true;
        let mut response = read_head(&head, method).map_err(ResponseError::Malformed)?;
        match response.framing {
            Framing::None => {}
            Framing::Length(length) => response.body = self.take(length)?,
            Framing::Chunked => self.chunks(&mut response)?,
            Framing::Close => {
                while self.read_some(READ_BYTES)? > 0 {}
                response.body = self.rest();
            }
        }
        self.is_inside = false;
        Ok(response)
    }

    fn chunks(&mut self, response: &mut Response) -> Result<(), ResponseError> {
        loop {
            let line = self.line()?;
            let size = read_chunk_size(&line).map_err(ResponseError::Malformed)?;
            if size == 0 {
                break;
            }
            let chunk = self.take(size)?;
            response.body.extend(chunk);
            let end = self.take(2)?;
            if end != b"\r\n" {
                return Err(ResponseError::Malformed(format!(
                    "a chunk ends with \"{}\"",
                    show(&end)
                )));
            }
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            read_field(&line).map_err(ResponseError::Malformed)?;
        }
    }

    /// Everything up to the end of the connection; a reset counts as an end.
    pub(crate) fn until_end(&mut self) -> Result<Vec<u8>, ResponseError> {
        loop {
            match self.read_some(READ_BYTES) {
                Ok(0) | Err(ResponseError::Nothing | ResponseError::Broken) => return Ok(self.rest()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The received bytes that were not read.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.received[self.consumed..]
    }

    /// Takes `count` received bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.consumed += count;
        if self.consumed == self.received.len() || self.consumed > READ_BYTES {
            self.received.drain(..self.consumed);
            self.consumed = 0;
        }
    }

    fn rest(&mut self) -> Vec<u8> {
        let rest = self.pending().to_vec();
        self.consume(rest.len());
        rest
    }

    fn line(&mut self) -> Result<Vec<u8>, ResponseError> {
        let mut line = self.until(b"\r\n")?;
        line.truncate(line.len() - 2);
        Ok(line)
    }

    /// Takes everything up to and with a delimiter.
    fn until(&mut self, delimiter: &[u8]) -> Result<Vec<u8>, ResponseError> {
        loop {
            let found = self
                .pending()
                .windows(delimiter.len())
                .position(|window| window == delimiter);
            match found {
                Some(at) => return self.take(at + delimiter.len()),
                None => self.more()?,
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, ResponseError> {
        while self.pending().len() < length {
            self.more()?;
        }
        let taken = self.pending()[..length].to_vec();
        self.consume(length);
        Ok(taken)
    }

    fn more(&mut self) -> Result<(), ResponseError> {
        match self.read_some(READ_BYTES)? {
            0 => Err(self.end()),
            _ => Ok(()),
        }
    }

    /// The error that the end of the connection means here.
    fn end(&self) -> ResponseError {
        if self.is_inside || !self.pending().is_empty() {
            ResponseError::Broken
        } else {
            ResponseError::Nothing
        }
    }
}
