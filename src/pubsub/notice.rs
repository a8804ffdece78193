//! What a subscriber is told in the place of messages it does not get.

use super::log::Gap;
use super::position::Position;
use super::topic::Topic;

/// Something to tell a subscriber at this place among its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It did not keep up, and messages are missing here.
    Missed(Missed),
    /// The history could not give what the subscriber asked for, or fell back to: live messages follow.
    Gap {
        /// Whose history.
        topic: Topic,
        /// Why, and where the topic stands.
        gap: Gap,
    },
    /// The history had nothing for the subscriber: it has all up to here, and goes on from here should it have to come back.
    CurrentPosition {
        /// Whose history.
        topic: Topic,
        /// The topic's last message.
        last: Position,
        /// Whether the topic's messages say their positions, so that whoever reads them reads this too.
        is_wrapped: bool,
    },
}

/// Messages a subscriber did not get because it did not keep up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The topic whose messages are missing; `None` if several topics' are.
    pub topic: Option<Topic>,
    /// How many are missing.
    pub count: u64,
}
