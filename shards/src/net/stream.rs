//! A connected socket: bytes in without a copy, bytes out from owned buffers.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use socket2::SockRef;

use super::buffer_pool::BufferPool;
use super::send_buffer::{SendBuffer, Sent};
use crate::driver::peer_end::PeerEnd;
use crate::driver::{Reactor, Received, epoll, io_uring};
use crate::os::sys;
use crate::shard::shard::Shard;

/// How long a half-closed peer is silent before the first probe, and the time between probes. 5 s: a small part of the
/// minute for which the kernel of a closed socket answers.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How many unanswered probes mean that the peer has gone. 9: Linux's default.
const PROBES_UNANSWERED_MAX: u32 = 9;

/// A TCP or Unix stream, which stays on the shard that accepted or opened it.
///
/// Dropping it cancels what is in flight and closes it. Await [`flush`](Self::flush) first if the last bytes matter.
pub struct Stream(pub(super) Socket);

/// A handle to the socket in the shard's driver.
pub(super) enum Socket {
    Ring(io_uring::StreamSocket),
    Epoll(epoll::StreamSocket),
}

/// Evaluates one expression for the socket of either driver.
macro_rules! on_driver {
    ($stream:ident, $socket:ident => $call:expr) => {
        match &$stream.0 {
            Socket::Ring($socket) => $call,
            Socket::Epoll($socket) => $call,
        }
    };
}

impl Stream {
    /// Takes over a connected stream socket made elsewhere, which must be in blocking mode: the driver does the waiting.
    ///
    /// # Panics
    ///
    /// Panics if the calling thread is not a shard.
    #[must_use]
    pub fn from_socket(socket: OwnedFd) -> Self {
        let shard = Shard::current().into_context();
        Self(match shard.reactor() {
            Reactor::Ring(ring) => Socket::Ring(io_uring::StreamSocket::new(ring, socket)),
            Reactor::Epoll(epoll) => Socket::Epoll(epoll::StreamSocket::new(epoll, socket)),
        })
    }

    /// Waits for bytes; returns `None` at the end of the stream.
    ///
    /// Cancel safety: safe; bytes that arrived are returned by the next call.
    ///
    /// # Errors
    ///
    /// The connection was reset or failed otherwise.
    pub async fn receive(&self) -> io::Result<Option<Received>> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Polls [`receive`](Self::receive); only the last caller's waker is kept.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        on_driver!(self, socket => socket.poll_receive(cx))
    }

    /// Waits for the peer to end the connection, whether or not the bytes before the end are received.
    ///
    /// Returns [`PeerEnd::Finished`] once, unless the peer has already gone, then [`PeerEnd::Gone`] on every call. Only
    /// the last caller's waker is kept, apart from those of `poll_receive` and `poll_sent`.
    ///
    /// The first call makes the kernel watch the socket; until then it costs nothing. After
    /// [`shutdown_write`](Self::shutdown_write) a Unix peer that closes both halves counts as finished: nothing more
    /// would be sent to it.
    ///
    /// After [`PeerEnd::Finished`] the kernel probes a silent TCP peer. A peer that also closes its socket counts as
    /// gone within 65 s, even if nothing is sent to it. Sent bytes detect it at once.
    pub fn poll_peer_end(&self, cx: &mut Context<'_>) -> Poll<PeerEnd> {
        let end = on_driver!(self, socket => socket.poll_peer_end(cx));
        if end == Poll::Ready(PeerEnd::Finished) {
            // Fails on a Unix socket, which needs no probe: the kernel reports when both halves are closed.
            self.probe_peer().unwrap_or_default();
        }
        end
    }

    /// Makes the kernel send keep-alive probes to a silent peer. The kernel of a closed socket acknowledges them for a
    /// minute (Linux: `tcp_fin_timeout`), then answers with a reset.
    fn probe_peer(&self) -> io::Result<()> {
        self.with_descriptor(|descriptor| {
            sockopt::set_tcp_keepidle(descriptor, PROBE_INTERVAL)?;
            sockopt::set_tcp_keepintvl(descriptor, PROBE_INTERVAL)?;
            sockopt::set_tcp_keepcnt(descriptor, PROBES_UNANSWERED_MAX)?;
            sockopt::set_socket_keepalive(descriptor, true)
        })??;
        Ok(())
    }

    /// Waits for the previous send, then queues this buffer for the end of the turn.
    ///
    /// At most one buffer is in flight while the next is being built, which bounds the memory a slow reader can hold.
    ///
    /// Cancel safety: dropped while waiting, nothing of `buffer` is sent; once ready, all of it is.
    ///
    /// # Errors
    ///
    /// An earlier send failed; `buffer` is not queued.
    pub async fn send(&self, buffer: impl Into<SendBuffer>) -> io::Result<()> {
        poll_fn(|cx| self.poll_sent(cx)).await?;
        self.start_send(buffer)
    }

    /// Waits until the kernel has taken everything queued.
    ///
    /// Cancel safety: safe; queued bytes are sent even if the future is dropped.
    ///
    /// # Errors
    ///
    /// A send failed: the peer has reset or closed the connection.
    pub async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// Polls [`flush`](Self::flush); only the last caller's waker is kept.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_driver!(self, socket => socket.poll_sent(cx))
    }

    /// Returns whether queued bytes have yet to be taken by the kernel.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        on_driver!(self, socket => socket.is_sending())
    }

    /// Queues a send without waiting; call it only while [`is_sending`](Self::is_sending) is false.
    ///
    /// # Errors
    ///
    /// An earlier send failed; `buffer` is not queued.
    pub fn start_send(&self, buffer: impl Into<SendBuffer>) -> io::Result<()> {
        let buffer = buffer.into();
        on_driver!(self, socket => socket.start_send(buffer))
    }

    /// Returns an empty buffer to build output in, reused if the shard has one.
    #[must_use]
    pub fn take_buffer(&self) -> Vec<u8> {
        self.pool().take()
    }

    /// Returns an unsent buffer to the shard's pool.
    pub fn return_buffer(&self, buffer: Vec<u8>) {
        self.pool().give_back(buffer);
    }

    /// Returns how many bytes the kernel has taken since the stream began.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.sent().bytes
    }

    /// Returns how many bytes the kernel has taken, and when it last took some, as a measure of the peer's progress.
    #[must_use]
    pub fn sent(&self) -> Sent {
        let (bytes, advanced) = on_driver!(self, socket => socket.sent());
        Sent { bytes, advanced }
    }

    /// Closes our half: the peer reads its end, and we can still read; flush first.
    ///
    /// # Errors
    ///
    /// The socket was disconnected.
    pub fn shutdown_write(&self) -> io::Result<()> {
        // Recorded first: a poll may report the closed half at once.
        on_driver!(self, socket => socket.note_shutdown());
        self.with_descriptor(|descriptor| SockRef::from(&descriptor).shutdown(Shutdown::Write))?
    }

    /// Sets whether closing resets the connection, so that the peer can tell a failure from a normal end; off by default.
    ///
    /// A reset discards bytes sent but not yet taken by the peer. Unix sockets have no reset.
    ///
    /// # Errors
    ///
    /// The kernel refused `SO_LINGER`.
    pub fn reset_on_close(&self, resets: bool) -> io::Result<()> {
        let linger = resets.then_some(Duration::ZERO);
        self.with_descriptor(|descriptor| SockRef::from(&descriptor).set_linger(linger))?
    }

    /// Returns how many bytes the peer has not acknowledged; on a Unix socket, the memory of its unread bytes.
    ///
    /// Costs a system call.
    ///
    /// # Errors
    ///
    /// The kernel refused `SIOCOUTQ`.
    pub fn unacknowledged_bytes(&self) -> io::Result<u64> {
        let bytes = self.with_descriptor(sys::unacknowledged)??;
        let has_shut_down = on_driver!(self, socket => socket.has_shut_down());
        // The FIN counts as one byte and is acknowledged last.
        Ok(bytes.saturating_sub(u64::from(has_shut_down)))
    }

    /// Returns whether the peer has everything that was sent, so that closing loses nothing.
    ///
    /// Its kernel has acknowledged all bytes, or they are in the queue of a Unix socket, which stays with the peer.
    /// Costs up to two system calls if nothing is being sent.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        let is_taken = || match self.unacknowledged_bytes() {
            Ok(0) => true,
            Ok(_) => matches!(self.peer_address(), Ok(PeerAddress::Unix)),
            Err(_) => false,
        };
        !self.is_sending() && is_taken()
    }

    /// Makes closing reset the connection if the peer has not acknowledged everything.
    ///
    /// The kernel would otherwise keep those bytes for minutes, for a peer that does not take them. A peer that has
    /// acknowledged everything reads a normal end. Costs up to two system calls.
    pub fn give_up(&self) {
        if !self.has_arrived() {
            // Fails only if the connection is already gone.
            self.reset_on_close(true).unwrap_or_default();
        }
    }

    /// Returns the address of the peer; costs a system call, so keep the result.
    ///
    /// # Errors
    ///
    /// The socket was disconnected.
    pub fn peer_address(&self) -> io::Result<PeerAddress> {
        let address = self.with_descriptor(|descriptor| SockRef::from(&descriptor).peer_addr())??;
        Ok(address.as_socket().map_or(PeerAddress::Unix, PeerAddress::Tcp))
    }

    /// Runs `call` on the descriptor, for calls that neither read nor write: addresses, options, shutdown.
    pub(super) fn with_descriptor<R>(&self, call: impl FnOnce(BorrowedFd<'_>) -> R) -> io::Result<R> {
        on_driver!(self, socket => socket.with_descriptor(call))
    }

    /// Returns the shard's pool of output buffers.
    fn pool(&self) -> &BufferPool {
        match &self.0 {
            Socket::Ring(socket) => socket.ring().pool(),
            Socket::Epoll(socket) => socket.epoll().pool(),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Stream({:?})", self.peer_address().ok())
    }
}

/// The address of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerAddress {
    /// The remote address of a TCP connection.
    Tcp(SocketAddr),
    /// A process of this host, over a Unix socket.
    Unix,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix => formatter.write_str("unix socket"),
        }
    }
}
