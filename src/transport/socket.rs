//! The connected socket that a server or a client speaks over: what its bytes travel in.
//!
//! Server, transport and client call [`Socket`], so that they stay the same for every kind of connection. Each call is
//! an inlined match, without a dynamic call.
//!
//! Invariant: whether a request is `https` is known here alone, from the kind of the socket it came over.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use squall_shards::{PeerAddress, PeerEnd, Received, SendBuffer, Sent, Stream};

#[cfg(feature = "rustls")]
use super::tls::socket::TlsSocket;
#[cfg(feature = "rustls")]
use crate::message::TlsInfo;

/// A connected socket, which stays on its shard; dropping it closes it.
#[derive(Debug)]
pub(crate) enum Socket {
    /// TCP, or a Unix socket: the bytes travel as they are.
    Plain(Stream),
    /// TLS, over either.
    #[cfg(feature = "rustls")]
    Tls(Box<TlsSocket>),
}

/// Evaluates one expression for a plain stream, and another for TLS.
macro_rules! on_kind {
    ($socket:expr, $stream:ident => $plain:expr, $tls:ident => $secure:expr) => {
        match $socket {
            Socket::Plain($stream) => $plain,
            #[cfg(feature = "rustls")]
            Socket::Tls($tls) => $secure,
        }
    };
}

impl From<Stream> for Socket {
    #[inline]
    fn from(stream: Stream) -> Self {
        Self::Plain(stream)
    }
}

#[cfg(feature = "rustls")]
impl From<TlsSocket> for Socket {
    fn from(socket: TlsSocket) -> Self {
        Self::Tls(Box::new(socket))
    }
}

impl Socket {
    #[inline]
    fn stream(&self) -> &Stream {
        on_kind!(self, stream => stream, tls => tls.stream())
    }

    /// Whether the connection is encrypted, so that its requests are `https`.
    #[inline]
    pub(crate) fn is_secure(&self) -> bool {
        on_kind!(self, _stream => false, _tls => true)
    }

    /// What applications may know of TLS; `None` on a plain socket.
    #[cfg(feature = "rustls")]
    pub(crate) fn tls_info(&self) -> Option<TlsInfo> {
        on_kind!(self, _stream => None, tls => Some(tls.info()))
    }

    /// The remote address; `None` on a Unix socket, or if the peer has gone. Costs a system call, so keep the result.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        match self.stream().peer_address() {
            Ok(PeerAddress::Tcp(address)) => Some(address),
            Ok(PeerAddress::Unix) | Err(_) => None,
        }
    }

    /// Waits for bytes; `None` at the end of what the peer sends.
    pub(crate) async fn receive(&self) -> io::Result<Option<Received>> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Polls [`receive`](Self::receive). The socket keeps the waker of the last caller.
    #[inline]
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        on_kind!(self, stream => stream.poll_receive(cx), tls => tls.poll_receive(cx))
    }

    /// Polls for the peer's end of the connection, whether or not the bytes before that end are received.
    #[inline]
    pub(crate) fn poll_peer_end(&self, cx: &mut Context<'_>) -> Poll<PeerEnd> {
        self.stream().poll_peer_end(cx)
    }

    /// Waits for the send in flight, then starts to send `buffer`.
    pub(crate) async fn send(&self, buffer: impl Into<SendBuffer>) -> io::Result<()> {
        poll_fn(|cx| self.poll_sent(cx)).await?;
        self.start_send(buffer)
    }

    /// Starts to send `buffer`; call it only while no send is in flight.
    #[inline]
    pub(crate) fn start_send(&self, buffer: impl Into<SendBuffer>) -> io::Result<()> {
        on_kind!(self, stream => stream.start_send(buffer), tls => tls.start_send(buffer.into()))
    }

    /// Polls until the kernel has taken the send in flight. The socket keeps the waker of the last caller.
    #[inline]
    pub(crate) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_kind!(self, stream => stream.poll_sent(cx), tls => tls.poll_sent(cx))
    }

    /// Whether a send is in flight.
    #[inline]
    pub(crate) fn is_sending(&self) -> bool {
        self.stream().is_sending()
    }

    /// How many bytes the kernel has taken, and when it last took some.
    #[inline]
    pub(crate) fn sent(&self) -> Sent {
        self.stream().sent()
    }

    /// How many sent bytes the peer has not acknowledged; 0 if the kernel does not tell. Costs a system call.
    #[inline]
    pub(crate) fn unacknowledged_bytes(&self) -> u64 {
        self.stream().unacknowledged_bytes().unwrap_or_default()
    }

    /// Whether the peer has everything that was sent, so that a close loses nothing.
    ///
    /// With TLS that includes the [end](Self::announce_end).
    #[inline]
    pub(crate) fn has_arrived(&self) -> bool {
        on_kind!(self, stream => stream.has_arrived(), tls => tls.has_arrived())
    }

    /// Whether the peer's bytes have ended in a way that an attacker can forge, so that content without another end is
    /// incomplete.
    ///
    /// With TLS an end without `close_notify` is such an end. Plain TCP knows no other.
    #[inline]
    #[cfg_attr(
        not(feature = "client"),
        allow(
            dead_code,
            reason = "only the client of HTTP reads content that ends with its connection"
        )
    )]
    pub(crate) fn is_truncated(&self) -> bool {
        on_kind!(self, _stream => false, tls => tls.is_truncated())
    }

    /// Announces that nothing more is sent: with TLS the `close_notify` follows what was sent. Call
    /// [`poll_sent`](Self::poll_sent) before closing. With TLS, what comes from now on is discarded.
    #[inline]
    pub(crate) fn announce_end(&self) {
        on_kind!(self, _stream => (), tls => tls.announce_end());
    }

    /// Closes the sending half: the peer reads its end, and its bytes still arrive here.
    #[inline]
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.stream().shutdown_write()
    }

    /// Sets whether the close is a reset, so that the peer can tell a failure from a normal end.
    #[inline]
    pub(crate) fn reset_on_close(&self, resets: bool) -> io::Result<()> {
        self.stream().reset_on_close(resets)
    }

    /// Makes the close a reset if the peer has not acknowledged everything.
    #[inline]
    pub(crate) fn give_up(&self) {
        self.stream().give_up();
    }

    /// Returns an empty buffer for output, from the shard's pool if it has one.
    #[inline]
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        self.stream().take_buffer()
    }

    /// Returns a buffer to the shard's pool.
    #[inline]
    pub(crate) fn return_buffer(&self, buffer: Vec<u8>) {
        self.stream().return_buffer(buffer);
    }
}
