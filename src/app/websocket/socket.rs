//! The handle a handler speaks to its peer through.

use core::fmt;
use std::future::poll_fn;
use std::rc::Rc;

use super::link::Link;
use crate::error::{Error, Result};
use crate::pubsub::Pattern;
use crate::websocket::{CloseCode, Message, SendError};

/// An open WebSocket, as its handler sees it. A clone is the same socket: one kept by another task of the shard can send too, and finds
/// it closed when it is.
#[derive(Clone)]
pub struct WebSocket {
    link: Rc<Link>,
}

impl WebSocket {
    pub(super) fn new(link: &Rc<Link>) -> Self {
        Self { link: Rc::clone(link) }
    }

    /// Sends a message, compressed if that was agreed upon and makes it smaller. Waits while more than
    /// [`OUTGOING_BYTES_MAX`](super::OUTGOING_BYTES_MAX) wait for the peer to take them; when it is ready the message is queued, not received.
    ///
    /// # Errors
    ///
    /// The socket is closed, or is being closed. A handler may pass this on with `?`: it is logged as what peers do, not as a fault.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing of the message is sent.
    pub async fn send(&self, message: impl Into<Message>) -> Result {
        let message = message.into();
        poll_fn(|task| self.link.poll_send(&message, task))
            .await
            .map_err(into_error)
    }

    /// Sends a message if there is room for it now.
    ///
    /// # Errors
    ///
    /// There is none, or the socket is closed.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        self.link.try_send(&message.into())
    }

    /// Sends a ping with up to 125 bytes of payload. Keep-alive pings are sent without being asked for.
    ///
    /// # Errors
    ///
    /// The payload is too long, or the socket is closed.
    pub fn ping(&self, payload: &[u8]) -> Result {
        self.link.ping(payload).map_err(into_error)
    }

    /// Begins to close with a code (RFC 6455 §7.4) and a reason of up to 123 bytes, empty for none. Messages that still come are passed over;
    /// `on_close` runs when the peer has answered, or has had its time. To close what is closed does nothing.
    ///
    /// # Errors
    ///
    /// The code may not be sent (1004–1006, 1015 and what nobody has given a meaning), or the reason is too long.
    pub fn close(&self, code: u16, reason: &str) -> Result {
        let code = CloseCode::new(code).ok_or_else(|| Error::new(format!("{code} may not stand in a close frame")))?;
        let now = self.link.app.hub()?.now();
        match self.link.close(code, reason, now) {
            Ok(()) | Err(SendError::Closed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether messages can be sent: neither end has begun to close.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Subscribes to a topic, or to all that fit a pattern: `rooms/42`, `rooms/*`, `rooms/**`. What is published to it from now on is sent to
    /// the peer as it is, in order, behind what waits already. Says whether the socket was not subscribed to this pattern before.
    ///
    /// # Errors
    ///
    /// It is no pattern, or one of the limits of [`pubsub::Limits`](crate::pubsub::Limits) is reached.
    pub fn subscribe(&self, pattern: &str) -> Result<bool> {
        let pattern = Pattern::new(pattern)?;
        Ok(self.link.app.hub()?.subscribe(&self.link, &pattern)?)
    }

    /// Unsubscribes; says whether the socket was subscribed.
    ///
    /// # Errors
    ///
    /// It is no pattern.
    pub fn unsubscribe(&self, pattern: &str) -> Result<bool> {
        let pattern = Pattern::new(pattern)?;
        Ok(self.link.app.hub()?.unsubscribe(&self.link, &pattern))
    }

    /// Publishes a message to a topic on every shard, as [`Context::publish`](crate::app::Context::publish) does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn publish(&self, topic: &str, message: impl Into<Message>) -> Result {
        self.link.app.publish(topic, &message.into()).await
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebSocket")
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// Why a message was not sent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrySendError {
    /// [`OUTGOING_BYTES_MAX`](super::OUTGOING_BYTES_MAX) wait for the peer already.
    Full,
    /// The socket is closed, or is being closed.
    Closed,
}

impl fmt::Display for TrySendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full => "the peer does not keep up with what it is sent",
            Self::Closed => "the WebSocket is closed",
        })
    }
}

impl core::error::Error for TrySendError {}

/// A peer that has gone is no fault of the application's.
fn into_error(error: SendError) -> Error {
    match error {
        SendError::Closed => Error::peer_gone(),
        error => error.into(),
    }
}
