//! The messages shards send each other about topics.

use std::future::poll_fn;
use std::pin::Pin;

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_core::Stream as _;

use super::subscription::SubscribeRequest;
use crate::app::PublishRequest;
use crate::pubsub::{CountChange, Publication, Receipt, Resumed, Resync, SubscriberId, Topic, Unsent};

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
    Unheard(Box<(Topic, ReceiptReceiver)>),
    /// From a thread outside the shards.
    Subscribe(Box<SubscribeRequest>),
}

/// Sends one shard's receipt to the publisher.
///
/// Each shard drops its sender after its receipt. The publisher is done when all senders are dropped, including those
/// lost with a shard.
pub(super) type ReceiptSender = UnboundedSender<Receipt>;

/// Receives at most one receipt from each shard.
pub(super) type ReceiptReceiver = UnboundedReceiver<Receipt>;

/// Creates the channel for the receipts of one publication.
pub(super) fn receipt_channel() -> (ReceiptSender, ReceiptReceiver) {
    unbounded()
}

/// Adds up the receipts of all shards. Completes when every shard has sent its receipt or dropped its sender.
pub(super) async fn sum(mut receipts: ReceiptReceiver) -> Receipt {
    let mut sum = Receipt::default();
    while let Some(receipt) = poll_fn(|task| Pin::new(&mut receipts).poll_next(task)).await {
        sum += receipt;
    }
    sum
}

/// A subscriber's request for a topic's history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::server) struct HistoryRequest {
    pub(super) subscriber: SubscriberId,
    pub(super) resync: Resync,
}

/// The owner's response to a history request.
#[derive(Debug)]
pub(in crate::server) struct HistoryResponse {
    pub(super) request: HistoryRequest,
    pub(super) resumed: Resumed,
}
