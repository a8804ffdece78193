//! Notices: what a subscriber receives in the place of messages it does not get.

use super::log::Gap;
use super::position::Position;
use super::topic::Topic;

/// A notice at a place between a subscriber's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The subscriber did not keep up, and messages are missing here.
    Missed(Missed),
    /// The history could not deliver the messages the subscriber resumed from; live messages follow.
    Gap {
        /// The topic.
        topic: Topic,
        /// The reason and the topic's last position.
        gap: Gap,
    },
    /// The subscriber has every message up to this position and can resume from it.
    CurrentPosition {
        /// The topic.
        topic: Topic,
        /// The topic's last message.
        last: Position,
        /// Whether the topic's envelope carries positions, so that the client expects this one too.
        is_wrapped: bool,
    },
}

/// Messages a subscriber did not get because it did not keep up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The topic of the missing messages; `None` if they are of several topics.
    pub topic: Option<Topic>,
    /// How many messages are missing.
    pub count: u64,
}
