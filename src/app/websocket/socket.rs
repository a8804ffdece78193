//! The handle a handler speaks to its peer through.

use core::fmt;
use std::future::poll_fn;
use std::rc::Rc;

use super::socket_state::SocketState;
use crate::app::topics::PublishRequest;
use crate::error::{Error, Result};
use crate::pubsub::{Pattern, Presence, Receipt, Start, Statistics, SubscribeError, Topic};
use crate::websocket::{CloseCode, Message, SendError};

/// An open WebSocket, as its handler sees it. A clone is the same socket: one kept by another task of the shard can send too, and finds
/// it closed when it is.
#[derive(Clone)]
pub struct WebSocket {
    state: Rc<SocketState>,
}

impl WebSocket {
    pub(super) fn new(state: &Rc<SocketState>) -> Self {
        Self {
            state: Rc::clone(state),
        }
    }

    /// Sends a message, compressed if that was agreed upon and makes it smaller. Waits while more than
    /// [`OUTGOING_BYTES_MAX`](super::OUTGOING_BYTES_MAX) wait for the peer to take them; when it is ready the message is queued, not received.
    ///
    /// What is sent keeps its order, and goes ahead of messages of topics that wait for this socket, those that its own handler
    /// [published](Self::publish) before included: they are taken at the end of the shard's turn, when all that was sent has gone out.
    ///
    /// # Errors
    ///
    /// The socket is closed, or is being closed, or there is no memory for the message. A handler may pass this on with `?`: the first is
    /// logged as what peers do, not as a fault; the second closes the socket with 1011.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing of the message is sent.
    pub async fn send(&self, message: impl Into<Message>) -> Result {
        let message = message.into();
        poll_fn(|task| self.state.poll_send(&message, task))
            .await
            .map_err(into_error)
    }

    /// Sends a message if there is room for it now.
    ///
    /// # Errors
    ///
    /// There is none, or the socket is closed.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        self.state.try_send(&message.into())
    }

    /// Sends a ping with up to 125 bytes of payload. Keep-alive pings are sent without being asked for.
    ///
    /// # Errors
    ///
    /// The payload is too long, the socket is closed, or as much waits for the peer already as [`try_send`](Self::try_send) lets wait: such
    /// a peer has other things to answer first.
    pub fn ping(&self, payload: &[u8]) -> Result {
        self.state.ping(payload)
    }

    /// Begins to close with a code (RFC 6455 §7.4) and a reason of up to 123 bytes, empty for none. Messages that still come are passed over;
    /// `on_close` runs when the peer has answered, or has had its time. To close what is closed does nothing.
    ///
    /// # Errors
    ///
    /// The code may not be sent (1004–1006, 1015 and what nobody has given a meaning), or the reason is too long.
    pub fn close(&self, code: u16, reason: &str) -> Result {
        let code = CloseCode::new(code).ok_or_else(|| Error::new(format!("{code} may not stand in a close frame")))?;
        let now = self.state.app.server()?.now();
        match self.state.close(code, reason, now) {
            Ok(()) | Err(SendError::Closed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether messages can be sent: neither end has begun to close.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Subscribes to a topic, such as `rooms/42`. What is published to it from now on is sent to the peer as it is, in order, behind what waits
    /// already. Says whether the socket was not subscribed to it before.
    ///
    /// A name made of what a client says is one topic and never a pattern, but a `/` in it makes another topic (`rooms/` and `1/staff`):
    /// check such names first.
    ///
    /// # Errors
    ///
    /// The text is not a topic's name (a `*` or `**` in it is refused: [`subscribe_pattern`](Self::subscribe_pattern) takes those), or one of the limits
    /// of [`pubsub::Limits`](crate::pubsub::Limits) is reached.
    pub fn subscribe(&self, topic: &str) -> Result<bool> {
        self.subscribe_to(&Topic::new(topic)?.into())
    }

    /// Subscribes to every topic that fits a pattern, those that come to be later included: `rooms/*`, `rooms/**`. Otherwise as
    /// [`subscribe`](Self::subscribe).
    ///
    /// Never for a text made of what a client says: with `*` for a name it would hear all the others.
    ///
    /// # Errors
    ///
    /// The text is not a pattern, or one of the limits of [`pubsub::Limits`](crate::pubsub::Limits) is reached.
    pub fn subscribe_pattern(&self, pattern: &str) -> Result<bool> {
        self.subscribe_to(&Pattern::new(pattern)?)
    }

    /// Subscribes to a topic with a history, whose messages come from a place in it on: behind the [`Position`](crate::pubsub::Position) a client
    /// had when it went away ([`Position::UNKNOWN`](crate::pubsub::Position::UNKNOWN) if what it says is none), or with the last so many. Where
    /// the history cannot give what is behind the position, the client is told so as text,
    /// `{"topic":"a/b","gap":"expired","position":"7:42"}` (or `"other-epoch"`, `"not-yet"`). Where it has no message to give and the topic has an
    /// [`Envelope`](crate::pubsub::Envelope), it is told where it stands, `{"topic":"a/b","position":"7:42"}`, so that it can come back even if
    /// it hears of nothing. Live messages follow.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe), or the topic has no history, or the socket is catching up on
    /// [`RESYNCS_MAX`](crate::pubsub::RESYNCS_MAX) topics already; then it is not subscribed. One that is subscribed to the topic stays so, where it is.
    pub fn subscribe_from(&self, topic: &str, start: Start) -> Result<bool> {
        let topic = Topic::new(topic)?;
        let subscriber = self.state.join()?;
        self.state.app.server()?.subscribe_from(subscriber, topic, start)
    }

    /// Unsubscribes from a topic; says whether the socket was subscribed to it by its name.
    ///
    /// # Errors
    ///
    /// The text is not a topic's name.
    pub fn unsubscribe(&self, topic: &str) -> Result<bool> {
        self.unsubscribe_from(&Topic::new(topic)?.into())
    }

    /// Unsubscribes from a pattern; says whether the socket was subscribed to just this one.
    ///
    /// # Errors
    ///
    /// The text is not a pattern.
    pub fn unsubscribe_pattern(&self, pattern: &str) -> Result<bool> {
        self.unsubscribe_from(&Pattern::new(pattern)?)
    }

    /// Says by what name the socket is present in a topic it is subscribed to by name, until it unsubscribes or ends;
    /// [`Context::presence`](crate::Context::presence) lists the names. A second name replaces the first.
    ///
    /// # Errors
    ///
    /// The socket is not subscribed to the topic, or the name has more than
    /// [`PRESENCE_NAME_BYTES_MAX`](crate::pubsub::PRESENCE_NAME_BYTES_MAX) bytes.
    pub fn set_presence(&self, topic: &str, name: &str) -> Result {
        let topic = Topic::new(topic)?;
        let subscriber = self.state.subscriber().ok_or(SubscribeError::NotSubscribed)?;
        Ok(self.state.app.server()?.set_presence(subscriber, &topic, name)?)
    }

    /// Who is present in a topic, on every shard, as [`Context::presence`](crate::Context::presence) says it.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is changed.
    pub async fn presence(&self, topic: &str) -> Result<Presence> {
        self.state.app.presence(topic).await
    }

    /// How many are subscribed to a topic by its name, on every shard, as [`Context::subscriber_count`](crate::Context::subscriber_count) says it.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn subscriber_count(&self, topic: &str) -> Result<u64> {
        self.state.app.subscriber_count(topic)
    }

    /// What has become of all publications so far, on all shards together, as [`Context::topic_statistics`](crate::Context::topic_statistics)
    /// says it.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is changed.
    pub async fn topic_statistics(&self) -> Result<Statistics> {
        self.state.app.topic_statistics().await
    }

    /// Publishes a message to a topic on every shard, as [`Context::publish`](crate::app::Context::publish) does.
    ///
    /// If this socket is subscribed to the topic, its peer gets the message behind what the handler [sends](Self::send) right after it: messages
    /// of topics wait for the end of the shard's turn. What is to come in one order is published throughout, to one topic.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn publish(&self, topic: &str, message: impl Into<Message>) -> Result {
        self.state.app.publish(PublishRequest::new(topic, message)?).await
    }

    /// Publishes a message that is about something, as [`Context::publish_keyed`](crate::app::Context::publish_keyed) does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn publish_keyed(&self, topic: &str, key: impl AsRef<[u8]>, message: impl Into<Message>) -> Result {
        self.state
            .app
            .publish(PublishRequest::new(topic, message)?.with_key(key))
            .await
    }

    /// Publishes a message and says what became of it on every shard, as [`Context::publish_confirmed`](crate::app::Context::publish_confirmed)
    /// does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn publish_confirmed(&self, topic: &str, message: impl Into<Message>) -> Result<Receipt> {
        self.state
            .app
            .publish_confirmed(PublishRequest::new(topic, message)?)
            .await
    }

    /// Publishes a message that is about something and says what became of it on every shard, as
    /// [`Context::publish_keyed_confirmed`](crate::app::Context::publish_keyed_confirmed) does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn publish_keyed_confirmed(
        &self,
        topic: &str,
        key: impl AsRef<[u8]>,
        message: impl Into<Message>,
    ) -> Result<Receipt> {
        let request = PublishRequest::new(topic, message)?.with_key(key);
        self.state.app.publish_confirmed(request).await
    }

    fn subscribe_to(&self, pattern: &Pattern) -> Result<bool> {
        let subscriber = self.state.join()?;
        Ok(self.state.app.server()?.subscribe(subscriber, pattern)?)
    }

    fn unsubscribe_from(&self, pattern: &Pattern) -> Result<bool> {
        let server = self.state.app.server()?;
        let subscriber = self.state.subscriber();
        Ok(subscriber.is_some_and(|subscriber| server.unsubscribe(subscriber, pattern)))
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
    /// There is no memory to keep it in until the peer takes it. The socket stays open.
    OutOfMemory,
    /// The socket is closed, or is being closed.
    Closed,
}

impl fmt::Display for TrySendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full => "the peer does not keep up with what it is sent",
            Self::OutOfMemory => "no memory is free for the message",
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
