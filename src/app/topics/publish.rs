//! Topics as any handler uses them, whether it serves a WebSocket or not.

use super::publish_request::PublishRequest;
use crate::app::{App, Context};
use crate::error::Result;
use crate::pubsub::{Presence, Receipt, Statistics, Topic};
use crate::websocket::Message;

impl Context {
    /// Publishes a message to all who are subscribed to a topic, on every shard. The frame is encoded once, and one message crosses to each
    /// other shard, however many subscribers it has.
    ///
    /// Waits while the queue to another shard is full: never for a subscriber, and never in a circle, because a shard takes in what other
    /// shards send whatever its handlers wait for. Up to 4096 messages wait for one shard. What one handler publishes, one call after the other, arrives in that order.
    ///
    /// # Errors
    ///
    /// The name is no topic's, the message does not fit its topic's envelope, or a shard takes nothing more: then its subscribers, and they
    /// alone, have not got the message.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped while it waits, the message reaches every shard all the same.
    pub async fn publish(&self, topic: &str, message: impl Into<Message>) -> Result {
        self.app.publish(PublishRequest::new(topic, message)?).await
    }

    /// Publishes a message that is about something: of a topic that is conflated, a subscriber that does not keep up is sent only the latest
    /// message about each key ([`SlowConsumer::Conflate`](crate::pubsub::SlowConsumer::Conflate)).
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As [`publish`](Self::publish).
    pub async fn publish_keyed(&self, topic: &str, key: impl AsRef<[u8]>, message: impl Into<Message>) -> Result {
        self.app
            .publish(PublishRequest::new(topic, message)?.with_key(key))
            .await
    }

    /// Publishes a message and says what became of it on all shards: for how many subscribers it waits, and how many messages
    /// subscribers miss because they did not keep up. Costs a round trip to the busiest shard.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As [`publish`](Self::publish); only the receipt is lost.
    pub async fn publish_confirmed(&self, topic: &str, message: impl Into<Message>) -> Result<Receipt> {
        self.app.publish_confirmed(PublishRequest::new(topic, message)?).await
    }

    /// Publishes a message that is about something, as [`publish_keyed`](Self::publish_keyed) does, and says what became of it on all shards, as
    /// [`publish_confirmed`](Self::publish_confirmed) does: of how many older messages about the same it took the place, too
    /// ([`Receipt::conflated`]).
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As [`publish`](Self::publish).
    pub async fn publish_keyed_confirmed(
        &self,
        topic: &str,
        key: impl AsRef<[u8]>,
        message: impl Into<Message>,
    ) -> Result<Receipt> {
        let request = PublishRequest::new(topic, message)?.with_key(key);
        self.app.publish_confirmed(request).await
    }

    /// How many are subscribed to a topic by its name, on all shards, as far as this one has heard: what other shards know is a turn of
    /// theirs old.
    ///
    /// # Errors
    ///
    /// The name is no topic's, or the topic's options do not have subscribers counted
    /// ([`count_subscribers`](crate::pubsub::TopicOptions::count_subscribers)).
    pub fn subscriber_count(&self, topic: &str) -> Result<u64> {
        self.app.subscriber_count(topic)
    }

    /// Who is present in a topic: the names given by [`WebSocket::set_presence`](crate::WebSocket::set_presence), asked of every shard.
    ///
    /// # Errors
    ///
    /// The name is no topic's, or a shard has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is changed.
    pub async fn presence(&self, topic: &str) -> Result<Presence> {
        self.app.presence(topic).await
    }

    /// What has become of all publications so far, on all shards together: delivered, waiting, conflated, missed.
    ///
    /// # Errors
    ///
    /// A shard has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is changed.
    pub async fn topic_statistics(&self) -> Result<Statistics> {
        self.app.topic_statistics().await
    }
}

/// What a context and a WebSocket have in common.
impl App {
    pub(in crate::app) async fn publish(&self, request: PublishRequest) -> Result {
        match self.server()?.publish(request)? {
            None => Ok(()),
            Some(rest) => rest.await,
        }
    }

    pub(in crate::app) async fn publish_confirmed(&self, request: PublishRequest) -> Result<Receipt> {
        self.server()?.publish_confirmed(request)?.await
    }

    pub(in crate::app) fn subscriber_count(&self, topic: &str) -> Result<u64> {
        self.server()?.subscriber_count(&Topic::new(topic)?)
    }

    pub(in crate::app) async fn presence(&self, topic: &str) -> Result<Presence> {
        self.server()?.presence(Topic::new(topic)?).await
    }

    pub(in crate::app) async fn topic_statistics(&self) -> Result<Statistics> {
        self.server()?.statistics().await
    }
}
