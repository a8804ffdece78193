//! A message on its way: what a publisher hands over, what crosses from shard to shard, and what a history keeps.

use bytes::Bytes;

use super::position::Position;
use super::topic::Topic;

/// A message of a topic: three shared pointers and a position, so that a clone copies no content; `Send`, so that it crosses shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Whose message it is.
    pub topic: Topic,
    /// The message as it goes to a subscriber's socket; what it is encoded as is the server's business.
    pub message: Bytes,
    /// What the message is about, where only the latest word on it counts ([`SlowConsumer::Conflate`](super::SlowConsumer::Conflate));
    /// without one it is about the topic as a whole.
    pub key: Option<Bytes>,
    /// Its place in the topic's history; `None` where the topic has none.
    pub position: Option<Position>,
}

impl Publication {
    /// Makes a message without a key, before it has a position.
    #[must_use]
    pub fn new(topic: Topic, message: impl Into<Bytes>) -> Self {
        Self {
            topic,
            message: message.into(),
            key: None,
            position: None,
        }
    }

    /// Says what the message is about.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Gives the message a count of its own if it is at most `bytes_max` long, by copying it once.
    ///
    /// For a shard that got a message from another one: a count of clones that two cores change moves between their caches with every
    /// delivery, which for a small message costs more than one copy of it.
    #[must_use]
    pub fn unshared(mut self, bytes_max: usize) -> Self {
        if self.message.len() <= bytes_max {
            self.message = Bytes::copy_from_slice(&self.message);
        }
        self
    }
}
