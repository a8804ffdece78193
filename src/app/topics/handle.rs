//! The topics of all shards as a handler uses them: a handle that contexts and WebSockets return.

use super::name::parse_topic;
use super::publish::Publish;
use crate::app::context::Context;
use crate::app::shared::Shared;
use crate::error::Result;
use crate::pubsub::{Presence, Statistics};
use crate::websocket::Message;

/// The topics of all shards, for handlers: [`Context::topics`] and [`WebSocket::topics`](crate::WebSocket::topics)
/// return it.
#[derive(Debug, Clone, Copy)]
pub struct TopicsHandle<'h> {
    shared: &'h Shared,
}

impl<'h> TopicsHandle<'h> {
    pub(in crate::app) fn new(shared: &'h Shared) -> Self {
        Self { shared }
    }

    /// Publishes a message to all subscribers of a topic, on every shard, when the returned [`Publish`] is awaited.
    pub fn publish(self, topic: &str, message: impl Into<Message>) -> Publish<'h> {
        Publish::new(self.shared, topic, message)
    }

    /// Returns the number of subscribers of a topic by its exact name, on all shards.
    ///
    /// The counts of other shards are up to one of their turns old.
    ///
    /// # Errors
    ///
    /// The topic's name is invalid, or its options lack
    /// [`count_subscribers`](crate::pubsub::TopicOptions::count_subscribers).
    pub fn subscriber_count(self, topic: &str) -> Result<u64> {
        self.shared.topics()?.subscriber_count(&parse_topic(topic)?)
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
    pub async fn presence(self, topic: &str) -> Result<Presence> {
        self.shared.topics()?.others.presence(parse_topic(topic)?).await
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
    pub async fn statistics(self) -> Result<Statistics> {
        self.shared.topics()?.others.statistics().await
    }
}

impl Context {
    /// Returns the topics of all shards: publishing, counts and presence.
    #[must_use]
    pub fn topics(&self) -> TopicsHandle<'_> {
        TopicsHandle::new(&self.shared)
    }

    /// Publishes a message to all subscribers of a topic, on every shard, when the returned [`Publish`] is awaited.
    ///
    /// It is the shorthand of `cx.topics().publish(topic, message)`.
    pub fn publish(&self, topic: &str, message: impl Into<Message>) -> Publish<'_> {
        self.topics().publish(topic, message)
    }
}
