//! Outgoing connections: connect(2) without waiting, then the wait until the socket is writable, which says how it ended.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::{SockAddr, SockRef};

use super::{Epoll, StreamSocket};

/// A handle to a connection on its way. Dropping it gives the connection up.
pub(crate) struct Connecting {
    stream: Option<StreamSocket>,
}

impl Connecting {
    /// Has a socket connected.
    ///
    /// # Errors
    ///
    /// The kernel can tell at once that there is no way to the address.
    pub(crate) fn new(epoll: &Rc<Epoll>, socket: OwnedFd, address: &SockAddr) -> io::Result<Self> {
        let begun = SockRef::from(&socket);
        begun.set_nonblocking(true)?;
        match begun.connect(address) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            // Watched only now: before connect(2) a socket counts as hung up.
            _ => Ok(Self {
                stream: Some(StreamSocket::new(epoll, socket)),
            }),
        }
    }

    /// Waits for the connection; not to be polled after it was ready.
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
