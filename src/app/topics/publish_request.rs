//! A message as an application publishes it, before it has a position in its topic's history.

use bytes::Bytes;

use super::name::parse_topic;
use crate::error::Result;
use crate::pubsub::Topic;
use crate::websocket::Message;

/// A message to publish.
///
/// If the topic has a history, the request goes to the shard that owns it, which numbers the message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a request does nothing until it is published"]
pub struct PublishRequest {
    /// The topic.
    pub topic: Topic,
    /// The message.
    pub message: Message,
    /// The key, for conflated topics: a slow subscriber receives only the latest message of each key.
    pub key: Option<Bytes>,
}

impl PublishRequest {
    /// Makes a request without a key.
    ///
    /// # Errors
    ///
    /// The topic's name is invalid.
    pub fn new(topic: &str, message: impl Into<Message>) -> Result<Self> {
        Ok(Self {
            topic: parse_topic(topic)?,
            message: message.into(),
            key: None,
        })
    }

    /// Sets the key.
    pub fn with_key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(Bytes::copy_from_slice(key.as_ref()));
        self
    }
}
