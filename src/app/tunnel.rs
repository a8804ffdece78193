//! A tunnel: bytes in both directions in place of a request's content and its response (RFC 8441 §5).
//!
//! It is the task's end of the [`Channel`], as a socket: the bytes that came are the request's content, and each send is
//! a flush. So flow control, resets and the end of a connection need no rules of their own.

use core::fmt;
use core::task::{Poll, Waker};
use std::rc::Rc;

use bytes::Bytes;

use super::body_channel::{BodyError, Channel, Flush, PeerGone, ResponseEnd};
use crate::message::Headers;

/// The application's end of a tunnel; dropping it resets what is still open.
pub struct Tunnel {
    channel: Rc<Channel>,
}

impl Tunnel {
    /// Opens the tunnel with a flush that has the head of the response.
    pub(super) fn open(channel: Rc<Channel>, head: Flush) -> Self {
        let tunnel = Self { channel };
        tunnel.submit(head);
        tunnel
    }

    /// Returns the next bytes of the peer; `None` at their end.
    ///
    /// # Errors
    ///
    /// The peer has reset the stream, or memory is short.
    pub fn poll_receive(&self, waker: &Waker) -> Poll<Result<Option<Bytes>, BodyError>> {
        self.channel.poll_piece(u64::MAX, waker)
    }

    /// Returns an empty buffer once the driver has taken the last send, so that another may start.
    ///
    /// # Errors
    ///
    /// The peer has reset the stream.
    pub fn poll_sent(&self, waker: &Waker) -> Poll<Result<Vec<u8>, PeerGone>> {
        self.channel.poll_flushed(waker)
    }

    /// Starts to send; call it only when [`poll_sent`](Self::poll_sent) is ready.
    pub fn start_send(&self, data: Vec<u8>) {
        self.submit(Flush {
            data,
            ..Flush::default()
        });
    }

    /// Ends what is sent, while the peer may still send.
    ///
    /// Call it as [`start_send`](Self::start_send).
    pub fn shut_down(&self) {
        let trailers = Headers::new();
        self.submit(Flush {
            end: Some(ResponseEnd::Complete { trailers }),
            ..Flush::default()
        });
    }

    /// Returns whether the driver has taken everything that was sent.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.channel.is_flushed()
    }

    /// Ready once the peer has reset the stream, which wakes the task until then.
    pub fn poll_peer_gone(&self, waker: &Waker) -> Poll<()> {
        match self.channel.check_peer(waker) {
            Ok(()) => Poll::Pending,
            Err(PeerGone) => Poll::Ready(()),
        }
    }

    fn submit(&self, flush: Flush) {
        // Not ready only if the stream was reset or a flush is under way; its bytes are then lost with the stream.
        let _submitted = self.channel.poll_submit(|| flush, Waker::noop());
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.channel.give_up();
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tunnel")
            .field("channel", &self.channel)
            .finish()
    }
}
