//! Publishing and topic counts, for handlers of every kind.

use super::publish_request::PublishRequest;
use crate::app::context::Context;
use crate::app::shared::Shared;
use crate::error::Result;
use crate::pubsub::{Presence, Receipt, Statistics, Topic};
use crate::websocket::Message;

impl Context {
    /// Publishes a message to all subscribers of a topic, on every shard.
    ///
    /// Squall encodes the frame once and sends one message to each other shard, however many subscribers it has.
    ///
    /// Waits while the queue to another shard is full; a slow subscriber never delays a publisher. At most 4096
    /// messages wait for one shard. Publishing cannot deadlock: a shard receives messages whatever its handlers wait
    /// for. Messages published one after the other by one handler arrive in that order.
    ///
    /// # Errors
    ///
    /// The topic's name is invalid, or the message does not fit the topic's envelope; then it reaches no subscriber. Or
    /// 4096 messages wait for a shard; then only that shard's subscribers miss it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped while it waits, the message still reaches every shard.
    pub async fn publish(&self, topic: &str, message: impl Into<Message>) -> Result {
        self.shared.publish(PublishRequest::new(topic, message)?).await
    }

    /// Publishes a message with a key.
    ///
    /// On a conflated topic, a slow subscriber receives only the latest message of each key
    /// ([`SlowConsumer::Conflate`](crate::pubsub::SlowConsumer::Conflate)).
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As [`publish`](Self::publish).
    pub async fn publish_keyed(&self, topic: &str, key: impl AsRef<[u8]>, message: impl Into<Message>) -> Result {
        self.shared
            .publish(PublishRequest::new(topic, message)?.with_key(key))
            .await
    }

    /// Publishes a message and returns its receipt.
    ///
    /// The receipt counts, over all shards, the subscribers the message waits for, and the messages that slow
    /// subscribers miss. It costs a round trip to the busiest shard.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As [`publish`](Self::publish); only the receipt is lost.
    pub async fn publish_confirmed(&self, topic: &str, message: impl Into<Message>) -> Result<Receipt> {
        self.shared
            .publish_confirmed(PublishRequest::new(topic, message)?)
            .await
    }

    /// Publishes a message with a key and returns its receipt.
    ///
    /// It combines [`publish_keyed`](Self::publish_keyed) and [`publish_confirmed`](Self::publish_confirmed). The
    /// receipt also counts the older messages of the key that it replaced ([`Receipt::conflated`]).
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
        self.shared.publish_confirmed(request).await
    }

    /// Returns the number of subscribers of a topic by its exact name, on all shards.
    ///
    /// The counts of other shards are up to one of their turns old.
    ///
    /// # Errors
    ///
    /// The topic's name is invalid, or its options lack
    /// [`count_subscribers`](crate::pubsub::TopicOptions::count_subscribers).
    pub fn subscriber_count(&self, topic: &str) -> Result<u64> {
        self.shared.subscriber_count(topic)
    }

    /// Returns the names present in a topic, collected from every shard.
    ///
    /// [`WebSocket::set_presence`](crate::WebSocket::set_presence) sets them.
    ///
    /// # Errors
    ///
    /// The topic's name is invalid, or a shard has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn presence(&self, topic: &str) -> Result<Presence> {
        self.shared.presence(topic).await
    }

    /// Returns counts of all publications on all shards: delivered, waiting, conflated, missed.
    ///
    /// # Errors
    ///
    /// A shard has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn topic_statistics(&self) -> Result<Statistics> {
        self.shared.topic_statistics().await
    }
}

/// Shared by contexts and WebSockets.
impl Shared {
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
