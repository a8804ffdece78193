//! What somebody wants to publish, before it is known where it stands in its topic's history.

use bytes::Bytes;

use crate::error::Result;
use crate::pubsub::Topic;
use crate::websocket::Message;

/// A message as its publisher made it. It crosses to the shard that numbers its topic's messages, if the topic has a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// Whose message it is.
    pub topic: Topic,
    /// The message.
    pub message: Message,
    /// What it is about, where only the latest word on that counts.
    pub key: Option<Bytes>,
}

impl PublishRequest {
    /// Makes a request.
    ///
    /// # Errors
    ///
    /// The name is no topic's.
    pub fn new(topic: &str, message: impl Into<Message>) -> Result<Self> {
        Ok(Self {
            topic: Topic::new(topic)?,
            message: message.into(),
            key: None,
        })
    }

    /// Says what the message is about.
    #[must_use]
    pub fn with_key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(Bytes::copy_from_slice(key.as_ref()));
        self
    }
}
