//! Requests for a topic's history, from a subscriber's shard to the topic's owner.

use crate::pubsub::{Resumed, Resync, SubscriberId};

/// A subscriber's request for a topic's history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HistoryRequest {
    /// The subscriber, on the shard that sends the request.
    pub subscriber: SubscriberId,
    /// The topic, and where the subscriber resumes.
    pub resync: Resync,
}

/// The owner's response to a history request.
#[derive(Debug)]
pub struct HistoryResponse {
    /// The request.
    pub request: HistoryRequest,
    /// The messages, or the gap.
    pub resumed: Resumed,
}
