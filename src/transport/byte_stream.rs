//! What the bytes of a WebSocket travel in: a [`Socket`] of its own, or a stream of HTTP/2.
//!
//! The driver of WebSockets is compiled once for each kind, so a socket pays nothing for the other.

use std::io;
use std::task::{Context, Poll};

use squall_shards::{PeerEnd, Received, SendBuffer, Sent};

use super::socket::Socket;

/// A connected stream of bytes in both directions, which stays on its shard; dropping it closes it.
pub(crate) trait ByteStream: Buffers {
    /// Polls for bytes; `None` at the end of what the peer sends.
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>>;

    /// Starts to send `buffer`; call it only while no send is in flight.
    fn start_send(&self, buffer: SendBuffer) -> io::Result<()>;

    /// Polls until the send in flight was taken.
    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// How much was taken; `None` if the stream itself watches the pace of its peer.
    fn sent(&self) -> Option<Sent>;

    /// How many sent bytes the peer has not acknowledged; 0 if that is unknown.
    fn unacknowledged_bytes(&self) -> u64;

    /// Whether a close loses nothing of what was sent.
    fn has_arrived(&self) -> bool;

    /// Polls for the peer's end of the stream.
    fn poll_peer_end(&self, cx: &mut Context<'_>) -> Poll<PeerEnd>;

    /// Announces that nothing more is sent, behind what was sent.
    fn announce_end(&self);

    /// Closes the sending half.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Makes the close a reset if something may be lost.
    fn give_up(&self);
}

/// The buffers that are lent to a stream's input and output.
pub(crate) trait Buffers {
    /// Returns an empty buffer.
    fn take_buffer(&self) -> Vec<u8>;

    /// Takes a buffer back.
    fn return_buffer(&self, buffer: Vec<u8>);
}

impl Buffers for Socket {
    #[inline]
    fn take_buffer(&self) -> Vec<u8> {
        self.take_buffer()
    }

    #[inline]
    fn return_buffer(&self, buffer: Vec<u8>) {
        self.return_buffer(buffer);
    }
}

impl ByteStream for Socket {
    #[inline]
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        self.poll_receive(cx)
    }

    #[inline]
    fn start_send(&self, buffer: SendBuffer) -> io::Result<()> {
        self.start_send(buffer)
    }

    #[inline]
    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(cx)
    }

    #[inline]
    fn sent(&self) -> Option<Sent> {
        Some(self.sent())
    }

    #[inline]
    fn unacknowledged_bytes(&self) -> u64 {
        self.unacknowledged_bytes()
    }

    #[inline]
    fn has_arrived(&self) -> bool {
        self.has_arrived()
    }

    #[inline]
    fn poll_peer_end(&self, cx: &mut Context<'_>) -> Poll<PeerEnd> {
        self.poll_peer_end(cx)
    }

    #[inline]
    fn announce_end(&self) {
        self.announce_end();
    }

    #[inline]
    fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown_write()
    }

    #[inline]
    fn give_up(&self) {
        self.give_up();
    }
}
