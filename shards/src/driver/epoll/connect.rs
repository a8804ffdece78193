//! Outgoing connections: a non-blocking connect(2), then a wait until the socket is writable and reports the result.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::{SockAddr, SockRef};

use super::{Epoll, StreamSocket};

/// A handle to a connection in progress; dropping it gives up the attempt.
pub(crate) struct Connecting {
    stream: Option<StreamSocket>,
}

impl Connecting {
    /// Starts to connect a socket.
    ///
    /// # Errors
    ///
    /// The kernel refused at once, as when the address is unreachable.
    pub(crate) fn new(epoll: &Rc<Epoll>, socket: OwnedFd, address: &SockAddr) -> io::Result<Self> {
        let begun = SockRef::from(&socket);
        begun.set_nonblocking(true)?;
        match begun.connect(address) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            // Watched only after connect(2), because before it a socket counts as hung up.
            _ => Ok(Self {
                stream: Some(StreamSocket::new(epoll, socket)),
            }),
        }
    }

    /// Waits for the connection; must not be polled again after it was ready.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<StreamSocket>> {
        let Some(stream) = &self.stream else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let Poll::Ready(connected) = stream.poll_connected(cx) else {
            return Poll::Pending;
        };
        let stream = self.stream.take();
        connected?;
        Poll::Ready(stream.ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}
