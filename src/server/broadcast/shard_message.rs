//! What shards send each other about topics.

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use super::subscription::SubscribeRequest;
use crate::app::PublishRequest;
use crate::pubsub::{CountChange, Publication, Receipt, Resumed, Resync, SubscriberId, Unsent};

/// On its way to another shard; its contents in boxes, so that an empty queue is small.
#[derive(Debug)]
pub(in crate::server) enum ShardMessage {
    /// To its topic's home: a message to be numbered, kept and sent on.
    PublishRequest(Box<PublishRequest>, Option<ReceiptSender>),
    /// A message for that shard's subscribers.
    Publication(Box<Publication>, Option<ReceiptSender>),
    /// From a topic's home: messages that were not sent, because the queue was full.
    Unsent(Box<Unsent>),
    /// To a topic's home.
    HistoryRequest(Box<HistoryRequest>),
    /// From a topic's home.
    HistoryResponse(Box<HistoryResponse>),
    /// How the sender's numbers of subscribers have changed.
    Counts(Vec<CountChange>),
    /// From a thread outside: somebody who wants to hear topics.
    Subscribe(Box<SubscribeRequest>),
}

/// Where whoever publishes hears what became of it: one receipt from each shard, which drops its ticket then. Whoever waits is done when all
/// tickets are gone, also those that were lost with a shard.
pub(super) type ReceiptSender = UnboundedSender<Receipt>;

/// What comes of tickets: at most one receipt for each shard.
pub(super) type ReceiptReceiver = UnboundedReceiver<Receipt>;

/// Makes the ticket of one publication.
pub(super) fn receipt_channel() -> (ReceiptSender, ReceiptReceiver) {
    unbounded()
}

/// What a subscriber wants of a history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::server) struct HistoryRequest {
    pub(super) subscriber: SubscriberId,
    pub(super) resync: Resync,
}

/// What a history has to say to a question.
#[derive(Debug)]
pub(in crate::server) struct HistoryResponse {
    pub(super) request: HistoryRequest,
    pub(super) resumed: Resumed,
}
