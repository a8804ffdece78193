//! A published message: what a publisher hands over, what crosses between shards, and what a history retains.

use bytes::Bytes;

use super::position::Position;
use super::topic::Topic;

/// A message of a topic.
///
/// It holds shared pointers and a position, so a clone copies no content. It is `Send`, so it can cross shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The topic.
    pub topic: Topic,
    /// The encoded message in its plain form, ready for a subscriber's socket; the server chooses the encoding.
    pub message: Bytes,
    /// The same message in a smaller form, for subscribers that can read it.
    pub alternative: Option<Box<Alternative>>,
    /// What the message is about, for topics where only the latest value counts
    /// ([`SlowConsumer::Conflate`](super::SlowConsumer::Conflate)); without a key it is about the topic as a whole.
    pub key: Option<Bytes>,
    /// The position in the topic's history; `None` without a history.
    pub position: Option<Position>,
}

/// A message in a form other than the plain one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Lowest level at which a subscriber can read this form.
    ///
    /// The server defines the levels; never 0.
    pub level: u8,
    /// The message in this form.
    pub message: Bytes,
}

impl Publication {
    /// Creates a message without a key, before it has a position.
    #[must_use]
    pub fn new(topic: Topic, message: impl Into<Bytes>) -> Self {
        Self {
            topic,
            message: message.into(),
            alternative: None,
            key: None,
            position: None,
        }
    }

    /// Sets what the message is about.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Returns the form for a subscriber that reads up to `level`; at 0, the plain form.
    #[must_use]
    pub fn form(&self, level: u8) -> &Bytes {
        match &self.alternative {
            Some(alternative) if alternative.level <= level => &alternative.message,
            _ => &self.message,
        }
    }

    /// Copies each form of at most `bytes_max` bytes, so that its reference count is used by this shard only.
    ///
    /// For a message from another shard: a reference count that two cores change moves between their caches with every
    /// delivery. For a small message that costs more than one copy.
    #[must_use]
    pub fn unshared(mut self, bytes_max: usize) -> Self {
        let forms = [
            Some(&mut self.message),
            self.alternative.as_mut().map(|other| &mut other.message),
        ];
        for message in forms.into_iter().flatten() {
            if message.len() <= bytes_max {
                *message = Bytes::copy_from_slice(message);
            }
        }
        self
    }

    /// Returns the bytes of all forms and the key.
    pub(super) fn bytes(&self) -> usize {
        let alternative = self.alternative.as_ref().map_or(0, |other| other.message.len());
        let key = self.key.as_ref().map_or(0, Bytes::len);
        self.message.len() + alternative + key
    }
}
