//! The handle through which a handler talks to its peer.

use core::fmt;
use core::time::Duration;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::SystemTime;

use super::connected::SocketOwner;
use super::expiry_task::set_expiry;
use super::socket_state::SocketState;
use crate::app::topics::{Publish, TopicsHandle, parse_pattern, parse_topic};
use crate::error::Result;
use crate::pubsub::{Pattern, Start, TopicOptions};
use crate::websocket::{CloseCode, Message, SendError};

/// Stands for "never": longer than any process runs.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// An open WebSocket, as its handler sees it.
///
/// Clones share the socket: another task of the shard may keep one and send through it. After the end they find it
/// closed.
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

    /// Sends a message, compressed if negotiated and if that makes it smaller.
    ///
    /// Waits while more than [`OUTGOING_BYTES_MAX`](crate::websocket::OUTGOING_BYTES_MAX) bytes wait for the peer. Ready means
    /// queued, not received.
    ///
    /// Sent messages keep their order. They overtake messages of topics, even those this handler
    /// [published](Self::publish) before. A socket takes these at the end of the shard's turn, after all sent messages.
    ///
    /// # Errors
    ///
    /// [`SendError`]: the socket is closed or closing, or memory is short. Pass it on with `?`. In a method of the
    /// socket's own handler, a closed socket ends the handler and is logged at debug level.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, the whole message is lost: the peer receives no byte of it.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        poll_fn(|task| self.state.duplex().poll_send(&message, task)).await
    }

    /// Sends a message if the output has room.
    ///
    /// # Errors
    ///
    /// [`SendError`]: the output is full, memory is short, or the socket is closed.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.state.duplex().try_send(&message.into())
    }

    /// Sends a ping with at most 125 bytes of payload; Squall sends keep-alive pings itself.
    ///
    /// # Errors
    ///
    /// The payload is too long, the socket is closed, or the output is full as for [`try_send`](Self::try_send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.state.duplex().ping(payload)
    }

    /// Begins to close, with a code (RFC 6455 §7.4) and a reason of at most 123 bytes.
    ///
    /// Later messages of the peer are ignored. `on_close` runs when the peer has answered, or after the close timeout.
    /// Closing a closed socket does nothing.
    ///
    /// # Errors
    ///
    /// The code may not be sent (1004–1006, 1015 and unassigned codes), or the reason is too long.
    pub fn close(&self, code: u16, reason: &str) -> Result<(), SendError> {
        let code = CloseCode::new(code).ok_or(SendError::CloseCode(code))?;
        // Without a server no byte was ever sent, so nothing is open.
        let Ok(runtime) = self.state.shared.runtime() else {
            return Ok(());
        };
        match self.state.duplex().close(code, reason, runtime.now()) {
            Ok(()) | Err(SendError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sets when the socket expires, such as the time of the token that opened it; `None` for never, the default.
    ///
    /// At that time the client receives `{"expiring":5}` as text. It answers `{"refresh":"TOKEN"}`, which goes to
    /// [`on_refresh`](crate::WebSocketHandler::on_refresh). Unless a later time is set within 5 s, the socket closes with
    /// 4401 and the reason `expired`.
    pub fn expires_at(&self, time: Option<SystemTime>) {
        // Without a server no byte was ever sent, so nothing is open.
        let Ok(runtime) = self.state.shared.runtime() else {
            return;
        };
        let at = time.map(|time| {
            let left = time.duration_since(runtime.wall()).unwrap_or_default().min(CENTURY);
            runtime.now() + left
        });
        set_expiry(&self.state, runtime, at);
    }

    /// Sets the user whose [`disconnect`](crate::Context::disconnect) closes the socket, in place of an earlier one.
    pub fn set_user(&self, user: &str) {
        self.state.belong_to(&SocketOwner::User(user.to_owned()));
    }

    /// Waits until the connection has ended, or its peer has closed or reset it.
    ///
    /// A handler's method that waits for long, for a timer or another server, selects between this and its work.
    /// Nothing else interrupts it: [`on_close`](crate::WebSocketHandler::on_close) runs after the method has returned.
    /// Then [`is_open`](Self::is_open) is false and sends fail. Messages that came before are still delivered.
    ///
    /// A close frame counts once it is read, which happens when the method has returned. Browsers close their
    /// connection behind it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call ends at the same time.
    pub async fn closed(&self) {
        self.state.duplex().closed().await;
    }

    /// Returns whether messages can be sent: neither end has begun to close.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.duplex().is_open()
    }

    /// Subscribes to a topic, such as `rooms/42`, and returns whether the subscription is new.
    ///
    /// The peer receives each message published from now on, in order, behind those that wait already.
    ///
    /// A client may choose part of the name: it can never become a pattern. But a `/` in it selects another topic
    /// (`rooms/` and `1/staff`), so check such names first.
    ///
    /// # Errors
    ///
    /// The name is invalid, or a limit of [`pubsub::Limits`](crate::pubsub::Limits) is reached. A name with `*` or `**`
    /// is a pattern; use [`subscribe_pattern`](Self::subscribe_pattern).
    pub fn subscribe(&self, topic: &str) -> Result<bool> {
        self.subscribe_to(&parse_topic(topic)?.into())
    }

    /// Subscribes to all topics that match a pattern, such as `rooms/*` or `rooms/**`, future topics included.
    ///
    /// It otherwise works as [`subscribe`](Self::subscribe). Never build a pattern from a client's text: a client that
    /// sends `*` would receive the messages of all others.
    ///
    /// # Errors
    ///
    /// The pattern is invalid, or a limit of [`pubsub::Limits`](crate::pubsub::Limits) is reached.
    pub fn subscribe_pattern(&self, pattern: &str) -> Result<bool> {
        self.subscribe_to(&parse_pattern(pattern)?)
    }

    /// Subscribes to a topic with a history, from a start in it: the messages after a position, or the last ones.
    ///
    /// Live messages follow.
    ///
    /// After a reconnect, start after the client's last [`Position`](crate::pubsub::Position), or after
    /// [`Position::UNKNOWN`](crate::pubsub::Position::UNKNOWN) if the client's text is invalid. The peer may receive a
    /// notice as text first:
    ///
    /// | notice | meaning |
    /// |---|---|
    /// | `{"topic":"a/b","gap":"expired","position":"7:42"}` | the history lacks messages after the client's position; also `"other-epoch"`, `"not-yet"` |
    /// | `{"topic":"a/b","position":"7:42"}` | the history has nothing to send, and the topic has an [`Envelope`](crate::pubsub::Envelope); the client can resume from here |
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe); the topic has no history; or the socket is catching up on
    /// [`RESYNCS_MAX`](crate::pubsub::RESYNCS_MAX) topics already. An existing subscription to the topic stays as it
    /// is.
    pub fn subscribe_from(&self, topic: &str, start: Start) -> Result<bool> {
        let topic = parse_topic(topic)?;
        let subscriber = self.state.join()?;
        self.state.shared.topics()?.subscribe_from(subscriber, topic, start)
    }

    /// Unsubscribes from a topic, and returns whether the socket was subscribed to it by name.
    ///
    /// # Errors
    ///
    /// The name is invalid.
    pub fn unsubscribe(&self, topic: &str) -> Result<bool> {
        self.unsubscribe_from(&parse_topic(topic)?.into())
    }

    /// Unsubscribes from a pattern, and returns whether the socket was subscribed to exactly this one.
    ///
    /// # Errors
    ///
    /// The pattern is invalid.
    pub fn unsubscribe_pattern(&self, pattern: &str) -> Result<bool> {
        self.unsubscribe_from(&parse_pattern(pattern)?)
    }

    /// Sets the name under which the socket is present in a topic, until it unsubscribes or ends.
    ///
    /// [`TopicsHandle::presence`](crate::app::TopicsHandle::presence) lists the names. A second call replaces the name.
    ///
    /// # Errors
    ///
    /// The socket is not subscribed to the topic by name, or the name is longer than
    /// [`PRESENCE_NAME_BYTES_MAX`](crate::pubsub::PRESENCE_NAME_BYTES_MAX) bytes.
    pub fn set_presence(&self, topic: &str, name: &str) -> Result {
        let topic = parse_topic(topic)?;
        let subscriber = self.state.subscribed()?;
        Ok(self.state.shared.topics()?.set_presence(subscriber, &topic, name)?)
    }

    /// Returns the topics of all shards: publishing, counts and presence.
    #[must_use]
    pub fn topics(&self) -> TopicsHandle<'_> {
        TopicsHandle::new(&self.state.shared)
    }

    /// Publishes a message to all subscribers of a topic, on every shard, when the returned [`Publish`] is awaited.
    ///
    /// It is the shorthand of `ws.topics().publish(topic, message)`.
    ///
    /// A socket subscribed to the topic receives the message at the end of the shard's turn, so a [sent](Self::send)
    /// message overtakes it. To keep one order, publish all messages to one topic.
    pub fn publish(&self, topic: &str, message: impl Into<Message>) -> Publish<'_> {
        self.topics().publish(topic, message)
    }

    /// The options of a topic, if the name is that of one.
    pub(in crate::app) fn topic_options(&self, topic: &str) -> Result<TopicOptions> {
        let topic = parse_topic(topic)?;
        Ok(*self.state.shared.topics()?.rules.of(&topic))
    }

    /// Sets over which time the peers of a stopping server shall come back; zero gives them no hint.
    pub(in crate::app) fn hint_reconnect(&self, spread: Duration) {
        self.state.set_reconnect_spread(spread);
    }

    fn subscribe_to(&self, pattern: &Pattern) -> Result<bool> {
        let subscriber = self.state.join()?;
        Ok(self.state.shared.topics()?.subscribe(subscriber, pattern)?)
    }

    fn unsubscribe_from(&self, pattern: &Pattern) -> Result<bool> {
        let topics = self.state.shared.topics()?;
        let subscriber = self.state.subscriber();
        Ok(subscriber.is_some_and(|subscriber| topics.unsubscribe(subscriber, pattern)))
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
