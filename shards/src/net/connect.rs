//! Outgoing TCP connections, to an address or to the addresses of a name in turn.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};

use super::race::race;
use super::stream::{Socket as StreamSocket, Stream};
use crate::driver::{Reactor, epoll, io_uring};
use crate::shard::shard::Shard;
use crate::task::spawn_blocking;
use crate::time::timeout_at;

/// How many addresses of one name are tried. 8: more than any name in use has of each family that could answer in time.
pub const ADDRESSES_MAX: usize = 8;

impl Stream {
    /// Connects to an address.
    ///
    /// The stream sets `TCP_NODELAY` and stays on its shard, like an accepted one.
    ///
    /// Cancel safety: dropping the future gives up the attempt and closes its socket.
    ///
    /// # Errors
    ///
    /// The address refuses connections or is unreachable, or the process is out of descriptors or local ports. A silent
    /// peer fails after about two minutes, set by the kernel; see [`timeout_at`](crate::timeout_at).
    ///
    /// # Panics
    ///
    /// Panics if the calling thread is not a shard.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let shard = Shard::current().into_context();
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.cloexec(),
            Some(Protocol::TCP),
        )?;
        socket.set_tcp_nodelay(true)?;
        let (socket, address) = (socket.into(), address.into());
        let socket = match shard.reactor() {
            Reactor::Ring(ring) => {
                let connecting = io_uring::Connecting::new(ring, socket, address);
                StreamSocket::Ring(poll_fn(|cx| connecting.poll(cx)).await?)
            }
            Reactor::Epoll(epoll) => {
                let mut connecting = epoll::Connecting::new(epoll, socket, &address)?;
                StreamSocket::Epoll(poll_fn(|cx| connecting.poll(cx)).await?)
            }
        };
        Ok(Self(socket))
    }

    /// Connects to a host, given by name or address, before a deadline.
    ///
    /// The first [`ADDRESSES_MAX`] addresses of a name are raced (Happy Eyeballs, RFC 8305). They begin in the system
    /// resolver's order, IPv6 and IPv4 in turn. An address begins 250 ms after the one before it, or as soon as that one
    /// has failed. The first to connect wins, and the others are given up. The lookup runs on the pool for blocking work.
    ///
    /// Cancel safety: as [`connect`](Self::connect); a running lookup is left to finish.
    ///
    /// # Errors
    ///
    /// The name has no address, or every address failed; the error is that of the last to fail. Or the deadline passed,
    /// or the pool for blocking work is full.
    ///
    /// # Panics
    ///
    /// Panics if the calling thread is not a shard.
    pub async fn connect_host(host: &str, port: u16, deadline: Instant) -> Result<Self, ConnectError> {
        let failed = |error| ConnectError::new(format_args!("{host}:{port}"), error);
        let addresses = timeout_at(deadline, resolve(host, port)).await;
        let addresses = addresses.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
        let addresses = addresses.map_err(failed)?;
        match race(addresses, deadline, Self::connect).await {
            Ok(stream) => Ok(stream),
            // An address needs no "name (address)" in its error.
            Err((Some(address), error)) if host.parse::<IpAddr>().is_ok() => Err(ConnectError::new(address, error)),
            Err((Some(address), error)) => Err(ConnectError::new(format_args!("{host}:{port} ({address})"), error)),
            Err((None, error)) => Err(failed(error)),
        }
    }
}

/// Returns the first [`ADDRESSES_MAX`] addresses of a host.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = host.to_owned();
    let addresses = spawn_blocking(move || {
        let addresses = (host.as_str(), port).to_socket_addrs()?;
        Ok(addresses.take(ADDRESSES_MAX).collect())
    });
    addresses.await.map_err(io::Error::other)?
}

/// A connection to a host failed.
#[derive(Debug)]
pub struct ConnectError {
    to: String,
    source: io::Error,
}

impl ConnectError {
    fn new(to: impl fmt::Display, source: io::Error) -> Self {
        Self {
            to: to.to_string(),
            source,
        }
    }

    /// Returns the kind of error that the kernel or the resolver reported.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match (self.source.kind(), self.source.raw_os_error()) {
            (io::ErrorKind::ConnectionRefused, _) => "the connection was refused; start the server or check the port",
            (io::ErrorKind::TimedOut, _) => "no answer in time; check the address or allow more time",
            (io::ErrorKind::AddrNotAvailable, _) => {
                "no local port is free; close connections or widen ip_local_port_range"
            }
            (_, Some(libc::EMFILE | libc::ENFILE)) => "too many open files; raise the limit (ulimit -n)",
            _ => return write!(formatter, "could not connect to {}: {}", self.to, self.source),
        };
        write!(formatter, "could not connect to {}: {advice}", self.to)
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use socket2::SockRef;

    use super::Stream;
    use crate::driver::Driver;
    use crate::start::builder::Builder;

    #[test]
    fn an_outgoing_stream_sends_at_once() {
        for driver in [Driver::Auto, Driver::Epoll] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            let shards = Builder::new()
                .shards(1)
                .driver(driver)
                .stop_on_signals(false)
                .build()
                .unwrap();
            shards
                .run(move |_| async move {
                    let stream = Stream::connect(address).await?;
                    let is_nodelay =
                        stream.with_descriptor(|descriptor| SockRef::from(&descriptor).tcp_nodelay())??;
                    assert!(is_nodelay);
                    Ok(())
                })
                .unwrap();
        }
    }
}
