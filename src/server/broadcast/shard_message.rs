//! The messages shards send each other about topics.

use super::subscription::SubscribeRequest;
use crate::app::{HistoryRequest, HistoryResponse, PublishRequest, ReceiptSender, Receipts, Unheard};
use crate::pubsub::{CountChange, Publication, Unsent};

/// A message to another shard. Large contents are boxed, so that an empty queue is small.
#[derive(Debug)]
pub(in crate::server) enum ShardMessage {
    /// To the topic's owner: a message to number, retain and forward.
    PublishRequest(Box<PublishRequest>, Option<ReceiptSender>),
    /// A message for that shard's subscribers.
    Publication(Box<Publication>, Option<ReceiptSender>),
    /// From the topic's owner: messages that were not sent because the queue was full.
    Unsent(Box<Unsent>),
    /// To the topic's owner.
    HistoryRequest(Box<HistoryRequest>),
    /// From the topic's owner.
    HistoryResponse(Box<HistoryResponse>),
    /// Changes of the sender's subscriber counts.
    Counts(Vec<CountChange>),
    /// From a thread outside the shards: a publication to report if its receipts count no subscriber.
    Unheard(Box<(Unheard, Receipts)>),
    /// From a thread outside the shards.
    Subscribe(Box<SubscribeRequest>),
}
