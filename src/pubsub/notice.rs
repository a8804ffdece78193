//! What a subscriber is told in the place of messages it does not get.

use super::log::Gap;
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
}

/// Messages a subscriber did not get because it did not keep up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The topic whose messages are missing; `None` if several topics' are.
    pub topic: Option<Topic>,
    /// How many are missing.
    pub count: u64,
}
