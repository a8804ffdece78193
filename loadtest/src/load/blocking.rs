//! A TCP connection whose calls block until a deadline: for the checks before a load, and to open subscribers.
//!
//! Each error is worded for the user.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use socket2::{Domain, Protocol, Type};

use super::connection::{RESET_ON_CLOSE, source};
use super::target::Target;

/// Bytes of one read.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// The error text after a deadline.
pub(crate) const LATE: &str = "the server did not answer within --timeout";

/// An open connection.
#[derive(Debug)]
pub(crate) struct BlockingStream {
    stream: TcpStream,
}

impl BlockingStream {
    /// Connects to `address` as connection number `index` of a run.
    ///
    /// # Errors
    ///
    /// The server does not accept the connection within `timeout`.
    pub(crate) fn connect(index: usize, address: SocketAddr, timeout: Duration) -> Result<Self> {
        let stream = connect(index, address, timeout).with_context(|| format!("could not connect to {address}"))?;
        Ok(Self { stream })
    }

    /// Writes all `bytes`.
    ///
    /// # Errors
    ///
    /// The connection failed, or the server did not accept the bytes before `deadline`.
    pub(crate) fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<()> {
        let remaining = remaining(deadline).ok_or_else(|| anyhow!(LATE))?;
        self.stream.set_write_timeout(Some(remaining))?;
        self.stream.write_all(bytes).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => anyhow!(LATE),
            _ => broken(error),
        })
    }

    /// Reads once; returns an empty slice at the end of the stream, and `None` at the deadline.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub(crate) fn read<'buffer>(
        &mut self,
        buffer: &'buffer mut [u8],
        deadline: Instant,
    ) -> Result<Option<&'buffer [u8]>> {
        loop {
            let Some(remaining) = remaining(deadline) else {
                return Ok(None);
            };
            self.stream.set_read_timeout(Some(remaining))?;
            match self.stream.read(buffer) {
                Ok(count) => return Ok(Some(buffer.get(..count).unwrap_or_default())),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return Err(broken(error)),
                },
            }
        }
    }

    /// Returns the connection, now non-blocking.
    pub(crate) fn into_nonblocking(self) -> Result<TcpStream> {
        self.stream.set_nonblocking(true)?;
        Ok(self.stream)
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

/// Returns the time until `deadline`; `None` once it has passed.
fn remaining(deadline: Instant) -> Option<Duration> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    (!remaining.is_zero()).then_some(remaining)
}

fn broken(error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context("the connection failed")
}
