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

/// A handle to a connected socket. Dropping it cancels what is in flight and closes the socket.
pub(crate) enum StreamSocket {
    Ring(io_uring::StreamSocket),
    Epoll(epoll::StreamSocket),
}

impl StreamSocket {
    /// Puts a connected socket into the reactor.
    pub(crate) fn new(reactor: &Reactor, socket: OwnedFd) -> Self {
        match reactor {
            Reactor::Ring(ring) => Self::Ring(io_uring::StreamSocket::new(ring, socket)),
            Reactor::Epoll(epoll) => Self::Epoll(epoll::StreamSocket::new(epoll, socket)),
        }
    }

    /// Takes the next received bytes; `None` when the peer has sent its last.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        match self {
            Self::Ring(stream) => stream.poll_receive(cx).map_ok(|received| received.map(Received::from)),
            Self::Epoll(stream) => stream.poll_receive(cx).map_ok(|received| received.map(Received::from)),
        }
    }

    /// Waits for news of the peer's end.
    pub(crate) fn poll_peer_end(&self, cx: &Context<'_>) -> Poll<PeerEnd> {
        match self {
            Self::Ring(stream) => stream.poll_peer_end(cx),
            Self::Epoll(stream) => stream.poll_peer_end(cx),
        }
    }

    /// Closes our half.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        // Before the kernel says so to a poll.
        match self {
            Self::Ring(stream) => stream.note_shutdown(),
            Self::Epoll(stream) => stream.note_shutdown(),
        }
        self.with_descriptor(|descriptor| SockRef::from(&descriptor).shutdown(Shutdown::Write))?
    }

    /// How many bytes that the kernel has taken the peer has not acknowledged.
    pub(crate) fn unacknowledged_bytes(&self) -> io::Result<u64> {
        let bytes = self.with_descriptor(sys::unacknowledged)??;
        let has_shut_down = match self {
            Self::Ring(stream) => stream.has_shut_down(),
            Self::Epoll(stream) => stream.has_shut_down(),
        };
        // The end itself counts as one, and is acknowledged last.
        Ok(bytes.saturating_sub(u64::from(has_shut_down)))
    }

    /// Waits until no send is in flight.
    pub(crate) fn poll_sent(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Ring(stream) => stream.poll_sent(cx),
            Self::Epoll(stream) => stream.poll_sent(cx),
        }
    }

    /// Whether a send is in flight.
    pub(crate) fn is_sending(&self) -> bool {
        match self {
            Self::Ring(stream) => stream.is_sending(),
            Self::Epoll(stream) => stream.is_sending(),
        }
    }

    /// Starts a send; it goes out whether or not anybody waits. None [is in flight](Self::is_sending).
    pub(crate) fn start_send(&self, buffer: SendBuffer) -> io::Result<()> {
        match self {
            Self::Ring(stream) => stream.start_send(buffer),
            Self::Epoll(stream) => stream.start_send(buffer),
        }
    }

    /// How many bytes the kernel has taken in all, and when the last of those that are being sent.
    pub(crate) fn sent(&self) -> Sent {
        let (bytes, advanced) = match self {
            Self::Ring(stream) => stream.sent(),
            Self::Epoll(stream) => stream.sent(),
        };
        Sent { bytes, advanced }
    }

    /// The descriptor, for calls that neither read nor write: addresses, options, shutdown.
    pub(crate) fn with_descriptor<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> R) -> io::Result<R> {
        match self {
            Self::Ring(stream) => stream.with_descriptor(call),
            Self::Epoll(stream) => stream.with_descriptor(call),
        }
    }

    /// The spare output buffers of the shard.
    pub(crate) fn pool(&self) -> &BufferPool {
        match self {
            Self::Ring(stream) => stream.ring().pool(),
            Self::Epoll(stream) => stream.epoll().pool(),
        }
    }
}
