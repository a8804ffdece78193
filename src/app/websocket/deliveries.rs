//! A WebSocket as a recipient of publications: frames made for many, sent as they are, behind what its own handler sends.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use super::batch::Batch;
use super::link::Link;
use crate::app::topics::{Delivery, Recipient, Remaining, notice_text};
use crate::error::Result;
use crate::pubsub::{SubscribeError, SubscriberId, TAKE_MESSAGES_MAX, TakeLimits};
use crate::websocket::{CloseCode, Encoding, Payload, encode};

/// How much of what waits for a socket goes into one send: as many frames as one vectored send takes, and 256 KiB, what may wait for it at
/// most.
const DELIVERY_MAX: TakeLimits = TakeLimits {
    messages: TAKE_MESSAGES_MAX,
    bytes: 256 * 1024,
};

impl Recipient for Link {
    fn announce(&self) {
        self.set_deliveries(true);
    }
}

impl Link {
    /// Takes the frames that wait, to be sent at once; `None` if there are none, or the socket is closing.
    pub fn take_deliveries(&self, now: Instant) -> Option<Batch> {
        self.set_deliveries(false);
        let (subscriber, hub) = (self.subscriber()?, self.app.hub().ok()?);
        let encoding = self.shared_encoding()?;
        let level = match encoding {
            Encoding::Plain => 0,
            Encoding::Deflated { window, .. } => window.bits(),
        };
        let mut joined = self.app.sockets.joined.borrow_mut();
        let mut batch = joined.gather(level);
        let rest = hub.take(subscriber, DELIVERY_MAX, &mut |delivery| match delivery {
            Delivery::Messages(run) => batch.push(run),
            Delivery::Notice(notice) => {
                if let Some(text) = notice_text(notice) {
                    let deflaters = &mut self.app.sockets.deflaters.borrow_mut();
                    batch.push_frame(encode(Payload::Text(&text), Encoding::Plain, deflaters));
                }
            }
        });
        let batch = batch.finish();
        match rest {
            Remaining::Nothing => {}
            Remaining::More => self.set_deliveries(true),
            Remaining::Close(code) => {
                let Some(code) = CloseCode::new(code) else {
                    unreachable!("a rule with a code that may not be sent is refused");
                };
                self.close(code, "too slow", now).unwrap_or_default();
            }
        }
        (batch != Batch::Whole(Bytes::new())).then_some(batch)
    }

    /// Says that the socket has ended: nothing is for it any more.
    pub fn leave(&self) {
        if let (Some(subscriber), Ok(hub)) = (self.subscriber(), self.app.hub()) {
            self.set_subscriber(None);
            hub.leave(subscriber);
        }
    }

    /// Who this socket is among the subscribers of its shard, from its first subscription on.
    pub(super) fn join(self: &Rc<Self>) -> Result<SubscriberId> {
        // A handler may go on after its peer has: such a socket is never delivered to, and never leaves again.
        if self.is_over() {
            return Err(SubscribeError::Left.into());
        }
        if let Some(subscriber) = self.subscriber() {
            return Ok(subscriber);
        }
        let recipient = Rc::clone(self);
        let subscriber = self.app.hub()?.join(recipient)?;
        self.set_subscriber(Some(subscriber));
        Ok(subscriber)
    }
}
