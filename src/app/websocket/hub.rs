//! What handlers ask of the server beyond their own socket: the time, and topics that reach every shard.

use core::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use super::link::Link;
use crate::app::{App, Context};
use crate::error::{Error, Result};
use crate::pubsub::{Pattern, Publication, SubscribeError, Topic};
use crate::websocket::{Encoding, Message, Payload, encode};

/// The rest of a publication that waits for room on its way to other shards.
pub type Publishing = Pin<Box<dyn Future<Output = Result>>>;

/// The server as its shard's handlers see it.
pub trait Hub {
    /// The time of this turn.
    fn now(&self) -> Instant;

    /// Subscribes a socket; says whether it was not subscribed to this pattern before.
    ///
    /// # Errors
    ///
    /// One of the limits of [`Topics::subscribe`](crate::pubsub::Topics::subscribe).
    fn subscribe(&self, link: &Rc<Link>, pattern: &Pattern) -> Result<bool, SubscribeError>;

    /// Unsubscribes a socket; says whether it was subscribed.
    fn unsubscribe(&self, link: &Link, pattern: &Pattern) -> bool;

    /// Publishes on this shard and on all others; `None` when it is done, else what must be awaited for the shards whose queues are full.
    fn publish(&self, publication: Publication) -> Option<Publishing>;
}

impl Context {
    /// Publishes a message to all sockets subscribed to a topic, on every shard. The frame is encoded once, and one message crosses to each
    /// other shard, however many subscribers it has.
    ///
    /// Waits while the queue to another shard is full: never for a subscriber, and never in a circle, because a shard takes in what other
    /// shards send whatever its handlers wait for. What one handler publishes, one call after the other, arrives in that order.
    ///
    /// # Errors
    ///
    /// The name is no topic's, or a shard takes nothing more: then its subscribers, and they alone, have not got the message.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped while waiting, some shards have the message and some do not.
    pub async fn publish(&self, topic: &str, message: impl Into<Message>) -> Result {
        self.app.publish(topic, &message.into()).await
    }
}

impl App {
    pub(super) fn hub(&self) -> Result<&Rc<dyn Hub>> {
        let hub = self.sockets.hub.get();
        hub.ok_or_else(|| Error::new("topics need a server, and none runs this application"))
    }

    pub(super) async fn publish(&self, topic: &str, message: &Message) -> Result {
        let topic = Topic::new(topic)?;
        let hub = self.hub()?;
        let frame = encode(
            Payload::from(message),
            Encoding::Plain,
            &mut self.sockets.deflaters.borrow_mut(),
        );
        match hub.publish(Publication::new(topic, frame)) {
            None => Ok(()),
            Some(rest) => rest.await,
        }
    }
}
