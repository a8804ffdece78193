//! The way from one shard's topics to those of the other shards.

use core::fmt;

use super::history_request::HistoryRequest;
use super::publish_request::PublishRequest;
use super::receipts::ReceiptSender;
use crate::app::boxed::LocalBoxFuture;
use crate::error::Result;
use crate::pubsub::{Presence, Publication, Statistics, Topic};

/// The other shards, as the topics of one shard see them; the server implements it.
pub trait OtherShards {
    /// Sends a publication to every other shard.
    ///
    /// A publication with a position never waits: a shard whose queue is full reads the history later. Without one,
    /// returns a future that waits for the shards whose queues are full, if there are any.
    fn publish(
        &self,
        publication: &Publication,
        receipts: Option<&ReceiptSender>,
    ) -> Option<LocalBoxFuture<'static, Result>>;

    /// Sends a message to its topic's owner, which publishes it; the future waits for room in the owner's queue.
    fn publish_at(
        &self,
        owner: usize,
        request: PublishRequest,
        receipts: Option<&ReceiptSender>,
    ) -> Option<LocalBoxFuture<'static, Result>>;

    /// Requests a topic's history from its owner; the response is [replayed](super::ShardTopics::replay).
    fn request_history(&self, owner: usize, request: HistoryRequest);

    /// Takes the [changes of subscriber counts](super::ShardTopics::take_count_changes) and sends them to every other
    /// shard, once no earlier message waits for room.
    fn share_counts(&self);

    /// Collects the names present in a topic from all shards.
    fn presence(&self, topic: Topic) -> LocalBoxFuture<'static, Result<Presence>>;

    /// Collects the counts of all publications from all shards.
    fn statistics(&self) -> LocalBoxFuture<'static, Result<Statistics>>;
}

impl fmt::Debug for dyn OtherShards {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OtherShards")
    }
}
