//! A message on its way: what a publisher hands over, what crosses from shard to shard, and what a history keeps.

use bytes::Bytes;

use super::position::Position;
use super::topic::Topic;

/// A message of a topic: shared pointers and a position, so that a clone copies no content; `Send`, so that it crosses shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Whose message it is.
    pub topic: Topic,
    /// The message as it goes to a subscriber's socket; what it is encoded as is the server's business.
    pub message: Bytes,
    /// The same message in a smaller form, for the subscribers that can read it.
    pub alternative: Option<Box<Alternative>>,
    /// What the message is about, where only the latest word on it counts ([`SlowConsumer::Conflate`](super::SlowConsumer::Conflate));
    /// without one it is about the topic as a whole.
    pub key: Option<Bytes>,
    /// Its place in the topic's history; `None` where the topic has none.
    pub position: Option<Position>,
}

/// A message in another form than the one that everybody reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Who reads this level or a higher one can be sent the message in this form. What a level is, is the server's business; it is never 0.
    pub level: u8,
    /// The message in this form.
    pub message: Bytes,
}

impl Publication {
    /// Makes a message without a key, before it has a position.
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

    /// Says what the message is about.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The message in the form for a subscriber that reads forms up to this level; at 0, the one that everybody reads.
    #[must_use]
    pub fn form(&self, level: u8) -> &Bytes {
        match &self.alternative {
            Some(alternative) if alternative.level <= level => &alternative.message,
            _ => &self.message,
        }
    }

    /// Gives the message a count of its own if it is at most `bytes_max` long, by copying it once.
    ///
    /// For a shard that got a message from another one: a count of clones that two cores change moves between their caches with every
    /// delivery, which for a small message costs more than one copy of it.
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

    /// The bytes of its forms and its key.
    pub(super) fn bytes(&self) -> usize {
        let alternative = self.alternative.as_ref().map_or(0, |other| other.message.len());
        let key = self.key.as_ref().map_or(0, Bytes::len);
        self.message.len() + alternative + key
    }
}
