//! A WebSocket as a recipient of publications. It sends shared frames unchanged, behind its own handler's messages.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use super::socket_state::SocketState;
use crate::app::topics::{Delivery, Recipient, Remaining, notice_text};
use crate::error::Result;
use crate::pubsub::{SubscribeError, SubscriberId, TAKE_MESSAGES_MAX, TakeLimits};
use crate::websocket::{Encoding, Payload, encode};

/// Bounds of one send to a socket: the frames of one vectored send, and 256 KiB, the most that may wait for a
/// subscriber.
const DELIVERY_MAX: TakeLimits = TakeLimits {
    messages: TAKE_MESSAGES_MAX,
    bytes: 256 * 1024,
};

impl Recipient for SocketState {
    fn notify(&self) {
        self.set_deliveries(true);
    }
}

impl SocketState {
    /// Takes the waiting frames for one send: one buffer, or one for each frame.
    ///
    /// `None` if the queue is empty or the socket is closing.
    pub fn take_deliveries<B: From<Bytes> + From<Vec<Bytes>>>(&self, now: Instant) -> Option<B> {
        // `Remaining::More` below sets it again.
        self.set_deliveries(false);
        let (subscriber, topics) = (self.subscriber()?, self.shared.topics().ok()?);
        // This also resets the compression window, so the next frame must be a shared one.
        let encoding = self.duplex().shared_encoding()?;
        let level = match encoding {
            Encoding::Plain => 0,
            Encoding::Deflated { window, .. } => window.bits(),
        };
        let mut coalescer = self.shared.sockets.coalescer.borrow_mut();
        let mut send = coalescer.begin(level);
        let rest = topics.take(subscriber, DELIVERY_MAX, |delivery| match delivery {
            Delivery::Messages(batch) => send.push(batch),
            Delivery::Notice(notice) => {
                if let Some(text) = notice_text(notice) {
                    let deflaters = &mut self.shared.sockets.deflaters.borrow_mut();
                    send.push_frame(encode(Payload::Text(&text), Encoding::Plain, deflaters));
                }
            }
        });
        let buffer = send.finish();
        match rest {
            Remaining::Nothing => {}
            Remaining::More => self.set_deliveries(true),
            Remaining::Close(code) => self.duplex().close(code, "too slow", now).unwrap_or_default(),
        }
        buffer
    }

    /// Removes the socket from its shard's subscribers; its queued messages are dropped.
    pub fn leave(&self) {
        if let (Some(subscriber), Ok(topics)) = (self.subscriber(), self.shared.topics()) {
            self.set_subscriber(None);
            topics.leave(subscriber);
        }
    }

    /// Returns this socket's subscriber id; the first call registers the socket.
    pub(super) fn join(self: &Rc<Self>) -> Result<SubscriberId> {
        // A handler may run on after its peer has left. Such a socket may never leave again, so a subscriber made here
        // would leak.
        if self.duplex().is_closed() {
            return Err(SubscribeError::Left.into());
        }
        if let Some(subscriber) = self.subscriber() {
            return Ok(subscriber);
        }
        let recipient = Rc::clone(self);
        let subscriber = self.shared.topics()?.join(recipient)?;
        self.set_subscriber(Some(subscriber));
        Ok(subscriber)
    }
}
