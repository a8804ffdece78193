//! A connected socket: bytes in without a copy, bytes out from owned buffers.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use socket2::SockRef;

use super::send_buffer::{SendBuffer, Sent};
use crate::driver::peer_end::PeerEnd;
use crate::driver::{Received, StreamSocket};
use crate::shard::shard::Shard;

/// How long a peer that has closed its half is silent before it is probed, and between two probes. 5 s: a small part of the minute for which
/// the kernel of a closed socket answers.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How many probes stay unanswered before the peer counts as gone. 9: Linux's default.
const PROBES_UNANSWERED_MAX: u32 = 9;

/// A TCP or Unix stream of the shard that accepted or opened it. It never leaves that shard. Dropping it cancels what is in flight and closes
/// it: await [`flush`](Self::flush) first if the last bytes matter.
pub struct Stream {
    pub(super) socket: StreamSocket,
}

impl Stream {
    pub(crate) fn new(socket: StreamSocket) -> Self {
        Self { socket }
    }

    /// Takes over a connected stream socket made elsewhere. It must be in blocking mode: the driver does the waiting.
    ///
    /// # Panics
    ///
    /// Called on a thread that is not a shard's.
    #[must_use]
    pub fn from_socket(socket: OwnedFd) -> Self {
        let shard = Shard::current().into_context();
        Self::new(StreamSocket::new(shard.reactor(), socket))
    }

    /// Waits for bytes; `None` when the peer has sent its last.
    ///
    /// Cancel safety: nothing is lost; the bytes are there at the next call.
    ///
    /// # Errors
    ///
    /// The connection was reset, or failed otherwise.
    pub async fn receive(&self) -> io::Result<Option<Received>> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// As [`receive`](Self::receive), for loops that poll several things. Only the last caller's waker is kept.
    ///
    /// # Errors
    ///
    /// As `receive`.
    pub fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        self.socket.poll_receive(cx)
    }

    /// Waits for the peer's end, whether or not bytes before it have been received, or are being received at all: once for
    /// [`PeerEnd::Finished`], unless the peer has gone already, then for [`PeerEnd::Gone`], which every later call returns too.
    ///
    /// Only the last caller's waker is kept, apart from those of `poll_receive` and `poll_sent`. The first call has the kernel watch the
    /// socket, for as long as the stream lives; until then this costs nothing. After [`shutdown_write`](Self::shutdown_write) a Unix socket
    /// whose peer closes both halves counts as finished: nothing more would be sent to it.
    ///
    /// From [`PeerEnd::Finished`] on, the kernel probes a TCP peer that is silent: 65 s after such a peer has closed its socket as well it
    /// counts as gone, although nothing is sent to it. Bytes that are sent find out at once.
    pub fn poll_peer_end(&self, cx: &mut Context<'_>) -> Poll<PeerEnd> {
        let end = self.socket.poll_peer_end(cx);
        if end == Poll::Ready(PeerEnd::Finished) {
            // Refused for a Unix socket, which needs none: the kernel says when both halves are closed.
            self.probe_peer().unwrap_or_default();
        }
        end
    }

    /// Has the kernel send keep-alive probes to a peer that is silent. The kernel of a peer that has closed its socket acknowledges
    /// them for a minute (Linux: `tcp_fin_timeout`), and then answers with a reset.
    fn probe_peer(&self) -> io::Result<()> {
        self.socket.with_descriptor(|descriptor| {
            sockopt::set_tcp_keepidle(descriptor, PROBE_INTERVAL)?;
            sockopt::set_tcp_keepintvl(descriptor, PROBE_INTERVAL)?;
            sockopt::set_tcp_keepcnt(descriptor, PROBES_UNANSWERED_MAX)?;
            sockopt::set_socket_keepalive(descriptor, true)
        })??;
        Ok(())
    }

    /// Waits for the previous send and queues this one, which goes out at the end of the turn. Does not wait for it: at most one
    /// buffer is on its way while the next is being made, and that is all the memory a slow reader can hold.
    ///
    /// Cancel safety: dropped while waiting, nothing of `buffer` is sent; once ready, all of it will be.
    ///
    /// # Errors
    ///
    /// An earlier send failed; nothing is queued.
    pub async fn send(&self, buffer: impl Into<SendBuffer>) -> io::Result<()> {
        poll_fn(|cx| self.poll_sent(cx)).await?;
        self.start_send(buffer)
    }

    /// Waits until everything queued has been taken by the kernel.
    ///
    /// Cancel safety: the bytes go out whether or not anybody waits.
    ///
    /// # Errors
    ///
    /// A send failed: the peer has reset the connection or has closed it.
    pub async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_sent(cx)).await
    }

    /// As [`flush`](Self::flush), for loops that poll several things. Only the last caller's waker is kept.
    ///
    /// # Errors
    ///
    /// As `flush`.
    pub fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_sent(cx)
    }

    /// Whether bytes that were queued have still to be taken by the kernel.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.socket.is_sending()
    }

    /// Queues a send without waiting; call it only when nothing [is being sent](Self::is_sending).
    ///
    /// # Errors
    ///
    /// An earlier send failed; nothing is queued.
    pub fn start_send(&self, buffer: impl Into<SendBuffer>) -> io::Result<()> {
        self.socket.start_send(buffer.into())
    }

    /// A buffer to build output in, out of those the shard has sent before.
    #[must_use]
    pub fn take_buffer(&self) -> Vec<u8> {
        self.socket.pool().take()
    }

    /// Gives a buffer back that was not sent after all.
    pub fn return_buffer(&self, buffer: Vec<u8>) {
        self.socket.pool().give_back(buffer);
    }

    /// How many bytes the kernel has taken since the stream began.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.sent().bytes
    }

    /// How many bytes the kernel has taken since the stream began, and when the last of them, to judge a peer's progress by.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.socket.sent()
    }

    /// Closes our half: the peer reads its end of file, and we can still read what it sends. Flush first.
    ///
    /// # Errors
    ///
    /// The socket is no longer connected.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown_write()
    }

    /// Says whether closing resets the connection, so that the peer can tell it from an end. It does not until this is called; a Unix socket,
    /// which knows no reset, never does. What has been sent and not yet taken by the peer is lost with a reset.
    ///
    /// # Errors
    ///
    /// The kernel's refusal of `SO_LINGER`.
    pub fn reset_on_close(&self, resets: bool) -> io::Result<()> {
        let linger = resets.then_some(Duration::ZERO);
        self.socket
            .with_descriptor(|descriptor| SockRef::from(&descriptor).set_linger(linger))?
    }

    /// How many bytes the kernel has taken and the peer has not acknowledged; on a Unix socket, how much memory what the peer has not read
    /// takes. A system call.
    ///
    /// # Errors
    ///
    /// The kernel's refusal of `SIOCOUTQ`.
    pub fn unacknowledged_bytes(&self) -> io::Result<u64> {
        self.socket.unacknowledged_bytes()
    }

    /// Whether the peer has all that was sent, so that closing loses nothing: its kernel has acknowledged it, or it is in the queue of a Unix
    /// socket, which stays with the peer. Up to two system calls, where nothing is being sent.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        let is_taken = || match self.unacknowledged_bytes() {
            Ok(0) => true,
            Ok(_) => matches!(self.peer_address(), Ok(PeerAddress::Unix)),
            Err(_) => false,
        };
        !self.is_sending() && is_taken()
    }

    /// Gives the peer up: where it has not acknowledged all that was sent, closing resets the connection. The kernel would keep those bytes
    /// for minutes, for a peer that does not take them. A peer that has acknowledged all reads its end as ever. Up to two system calls.
    pub fn give_up(&self) {
        if !self.has_arrived() {
            // Refused only where the connection is gone already.
            self.reset_on_close(true).unwrap_or_default();
        }
    }

    /// The address of the peer. A system call: keep the answer.
    ///
    /// # Errors
    ///
    /// The socket is no longer connected.
    pub fn peer_address(&self) -> io::Result<PeerAddress> {
        let address = self
            .socket
            .with_descriptor(|descriptor| SockRef::from(&descriptor).peer_addr())??;
        Ok(address.as_socket().map_or(PeerAddress::Unix, PeerAddress::Tcp))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Stream({:?})", self.peer_address().ok())
    }
}

/// Where a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerAddress {
    /// At the other end of TCP.
    Tcp(SocketAddr),
    /// In a process of this machine, at the other end of a Unix socket.
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
