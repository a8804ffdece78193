//! A connected socket, of either driver.

use std::io;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use socket2::SockRef;

use super::peer_end::PeerEnd;
use super::{Reactor, Received};
use super::{epoll, io_uring};
use crate::net::buffer_pool::BufferPool;
use crate::net::send_buffer::{SendBuffer, Sent};
use crate::os::sys;

/// A handle to a connected socket; dropping it cancels what is in flight and closes the socket.
pub(crate) enum StreamSocket {
    Ring(io_uring::StreamSocket),
    Epoll(epoll::StreamSocket),
}

impl StreamSocket {
    /// Adds a connected socket to the reactor.
    pub(crate) fn new(reactor: &Reactor, socket: OwnedFd) -> Self {
        match reactor {
            Reactor::Ring(ring) => Self::Ring(io_uring::StreamSocket::new(ring, socket)),
            Reactor::Epoll(epoll) => Self::Epoll(epoll::StreamSocket::new(epoll, socket)),
        }
    }

    /// Takes the next received bytes; `None` at the end of the stream.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        match self {
            Self::Ring(stream) => stream.poll_receive(cx).map_ok(|received| received.map(Received::from)),
            Self::Epoll(stream) => stream.poll_receive(cx).map_ok(|received| received.map(Received::from)),
        }
    }

    /// Waits for a change of the peer's end.
    pub(crate) fn poll_peer_end(&self, cx: &Context<'_>) -> Poll<PeerEnd> {
        match self {
            Self::Ring(stream) => stream.poll_peer_end(cx),
            Self::Epoll(stream) => stream.poll_peer_end(cx),
        }
    }

    /// Closes our half.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        // Recorded first: a poll may report the closed half at once.
        match self {
            Self::Ring(stream) => stream.note_shutdown(),
            Self::Epoll(stream) => stream.note_shutdown(),
        }
        self.with_descriptor(|descriptor| SockRef::from(&descriptor).shutdown(Shutdown::Write))?
    }

    /// Returns how many bytes taken by the kernel the peer has not acknowledged.
    pub(crate) fn unacknowledged_bytes(&self) -> io::Result<u64> {
        let bytes = self.with_descriptor(sys::unacknowledged)??;
        let has_shut_down = match self {
            Self::Ring(stream) => stream.has_shut_down(),
            Self::Epoll(stream) => stream.has_shut_down(),
        };
        // The FIN counts as one byte and is acknowledged last.
        Ok(bytes.saturating_sub(u64::from(has_shut_down)))
    }

    /// Waits until no send is in flight.
    pub(crate) fn poll_sent(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Ring(stream) => stream.poll_sent(cx),
            Self::Epoll(stream) => stream.poll_sent(cx),
        }
    }

    /// Returns whether a send is in flight.
    pub(crate) fn is_sending(&self) -> bool {
        match self {
            Self::Ring(stream) => stream.is_sending(),
            Self::Epoll(stream) => stream.is_sending(),
        }
    }

    /// Starts a send, while none [is in flight](Self::is_sending); it continues even if no task waits for it.
    pub(crate) fn start_send(&self, buffer: SendBuffer) -> io::Result<()> {
        match self {
            Self::Ring(stream) => stream.start_send(buffer),
            Self::Epoll(stream) => stream.start_send(buffer),
        }
    }

    /// Returns how many bytes the kernel has taken in all, and when it last took a part of the current send.
    pub(crate) fn sent(&self) -> Sent {
        let (bytes, advanced) = match self {
            Self::Ring(stream) => stream.sent(),
            Self::Epoll(stream) => stream.sent(),
        };
        Sent { bytes, advanced }
    }

    /// Runs `call` on the descriptor, for calls that neither read nor write: addresses, options, shutdown.
    pub(crate) fn with_descriptor<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> R) -> io::Result<R> {
        match self {
            Self::Ring(stream) => stream.with_descriptor(call),
            Self::Epoll(stream) => stream.with_descriptor(call),
        }
    }

    /// Returns the shard's pool of output buffers.
    pub(crate) fn pool(&self) -> &BufferPool {
        match self {
            Self::Ring(stream) => stream.ring().pool(),
            Self::Epoll(stream) => stream.epoll().pool(),
        }
    }
}
