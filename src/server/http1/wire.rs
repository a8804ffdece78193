//! What the reader and the writer of a connection share: its socket, its machine, its peer, its timer and its shard.
//!
//! The connection owns it and lends it to one of them at a time, so the halves of the machine never disagree.

use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use squall_shards::Deadline;

use crate::app::{Exchange, Peer};
use crate::http1;
use crate::memory::OutOfMemory;
#[cfg(feature = "rustls")]
use crate::message::{TlsInfo, default_port, host_and_port};
use crate::server::ending::{Flow, peer_gone};
use crate::server::shard::ShardServer;
use crate::transport::arrival::Arrival;
use crate::transport::socket::Socket;

/// A socket and the machine that speaks HTTP/1 over it.
pub(super) struct Wire {
    pub(super) socket: Socket,
    pub(super) machine: http1::Connection,
    /// The one timer: each wait sets it to its own moment.
    pub(super) timer: Deadline,
    pub(super) server: Rc<ShardServer>,
    peer: Option<Peer>,
    /// What applications see of TLS, once a request has come over it.
    #[cfg(feature = "rustls")]
    tls: Option<Rc<TlsInfo>>,
    /// The peer has closed its sending half, and every byte before that has been received.
    pub(super) input_ended: bool,
    /// The peer has closed its sending half; bytes before that may still be in the socket.
    pub(super) peer_has_finished: bool,
}

impl Wire {
    pub(super) fn new(socket: Socket, server: Rc<ShardServer>) -> Self {
        Self {
            socket,
            machine: http1::Connection::new(Rc::clone(&server.http1), server.shard.now()),
            timer: Deadline::new(),
            server,
            peer: None,
            #[cfg(feature = "rustls")]
            tls: None,
            input_ended: false,
            peer_has_finished: false,
        }
    }

    /// Returns the time of this turn.
    #[inline]
    pub(super) fn now(&self) -> Instant {
        self.server.shard.now()
    }

    /// Waits until `at`; `None` waits for ever.
    #[inline]
    pub(super) fn poll_until(&mut self, at: Option<Instant>, cx: &Context<'_>) -> Poll<()> {
        self.timer.set(at);
        self.timer.poll(cx)
    }

    /// Returns an exchange from the shard's pool, for a request of this peer.
    pub(super) fn take_exchange(&mut self) -> Result<Box<Exchange>, OutOfMemory> {
        let mut exchange = self.server.take_exchange()?;
        exchange.set_peer(self.peer());
        #[cfg(feature = "rustls")]
        exchange.set_tls(self.tls());
        Ok(exchange)
    }

    /// Returns what applications see of TLS, which the session is asked for once.
    #[cfg(feature = "rustls")]
    fn tls(&mut self) -> Option<Rc<TlsInfo>> {
        if self.tls.is_none() {
            self.tls = self.socket.tls_info().map(Rc::new);
        }
        self.tls.clone()
    }

    /// Returns whether the host of a request has rules of its own for clients, which this connection has not met.
    #[cfg(feature = "rustls")]
    pub(super) fn is_misdirected(&mut self, authority: &str) -> bool {
        if self.server.tls.is_none() {
            return false;
        }
        let tls = self.tls();
        let (Some(shard), Some(tls)) = (&self.server.tls, tls) else {
            return false;
        };
        let host = host_and_port(authority, default_port("https"));
        host.is_some_and(|(host, _)| shard.misdirects(tls.server_name(), host))
    }

    /// Sets the peer that applications see, in place of the one that the kernel names.
    pub(super) fn pretend_peer(&mut self, peer: Peer) {
        self.peer = Some(peer);
    }

    /// Returns the peer, if the kernel was asked for it, or a test has set it.
    pub(super) fn known_peer(&self) -> Option<Peer> {
        self.peer
    }

    /// Returns the peer's address, which the kernel is asked for once.
    fn peer(&mut self) -> Peer {
        *self.peer.get_or_insert_with(|| Peer {
            address: self.socket.peer_address(),
            is_secure: self.socket.is_secure(),
        })
    }

    /// Returns the peer's address; `None` on a Unix socket.
    pub(super) fn peer_address(&mut self) -> Option<SocketAddr> {
        self.peer().address
    }

    /// Receives and drops bytes until the peer has closed its half; ready early at a stop or at `until`.
    ///
    /// At a stop the peer's half no longer matters: its further requests get no answer. Those that are here already are
    /// still read, because a close before that would be a reset.
    pub(super) fn poll_discard(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<Flow> {
        while !self.input_ended && self.poll_until(Some(until), cx).is_pending() {
            match self.socket.poll_receive(cx).map_err(peer_gone)? {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => self.input_ended = true,
                Poll::Pending if self.server.is_stopping() => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the peer has acknowledged everything that was sent, or acknowledges too slowly.
    pub(super) fn poll_arrival(&mut self, arrival: &mut Arrival, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            socket, timer, server, ..
        } = self;
        arrival.poll(socket, timer, || server.shard.now(), cx)
    }
}

/// Returns the earlier of two moments, or the one that is there.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
