//! An outgoing connection in progress, of either driver.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use socket2::SockAddr;

use super::{Reactor, StreamSocket};
use super::{epoll, io_uring};

/// A handle to a connection in progress; dropping it gives up the attempt and closes the socket.
pub(crate) enum Connecting {
    Ring(io_uring::Connecting),
    Epoll(epoll::Connecting),
}

impl Connecting {
    /// Starts to connect a socket in blocking mode.
    pub(crate) fn new(reactor: &Reactor, socket: OwnedFd, address: SockAddr) -> io::Result<Self> {
        match reactor {
            Reactor::Ring(ring) => Ok(Self::Ring(io_uring::Connecting::new(ring, socket, address))),
            Reactor::Epoll(epoll) => epoll::Connecting::new(epoll, socket, &address).map(Self::Epoll),
        }
    }

    /// Waits for the connection; must not be polled again after it was ready.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<StreamSocket>> {
        match self {
            Self::Ring(connecting) => connecting.poll(cx).map_ok(StreamSocket::Ring),
            Self::Epoll(connecting) => connecting.poll(cx).map_ok(StreamSocket::Epoll),
        }
    }
}
