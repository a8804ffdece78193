//! Topics with a history: the owner numbers their messages, retains them and reads them for subscribers of all shards.

use std::time::Instant;

use super::encode::encode;
use super::history_request::{HistoryRequest, HistoryResponse};
use super::publish_request::PublishRequest;
use super::receipts::ReceiptSender;
use super::shard_topics::ShardTopics;
use crate::pubsub::{Resync, SubscriberId, Unsent};

/// Most bytes of one history response. 64 KiB: a subscriber requests a history when at most 64 KiB wait for it, so its
/// queue then reaches half of its limit.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

impl ShardTopics {
    /// Numbers a message of a topic this shard owns, retains it, and publishes it on every shard.
    pub fn publish_numbered(&self, request: &PublishRequest, receipts: Option<&ReceiptSender>) {
        let options = self.rules.of(&request.topic);
        let Some(history) = options.history else {
            return;
        };
        let make = |position| encode(request, options, Some(position), &mut self.deflaters.borrow_mut());
        let publication = self
            .logs
            .borrow_mut()
            .append(&request.topic, history, make, self.runtime.now());
        // A numbered publication never waits.
        drop(self.others.publish(&publication, receipts));
        self.deliver(publication, receipts);
    }

    /// Requests a topic's history for a subscriber of this shard; an own history is replayed at once.
    pub(super) fn request_history(&self, subscriber: SubscriberId, resync: Resync) {
        let request = HistoryRequest { subscriber, resync };
        let owner = self.owner(&request.resync.topic);
        if owner == self.here {
            let HistoryResponse { request, resumed } = self.read_history(&request);
            self.table().replay(request.subscriber, &request.resync, &resumed);
        } else {
            self.others.request_history(owner, request);
        }
    }

    /// Reads a topic's history as it is now.
    #[must_use]
    pub fn read_history(&self, request: &HistoryRequest) -> HistoryResponse {
        let Resync { topic, start } = &request.resync;
        let now = self.runtime.now();
        let resumed = self.logs.borrow_mut().resume(topic, *start, RESPONSE_BYTES_MAX, now);
        HistoryResponse {
            request: request.clone(),
            resumed,
        }
    }

    /// Returns whether a subscriber of this shard still waits for this history.
    #[must_use]
    pub fn awaits(&self, request: &HistoryRequest) -> bool {
        self.table().awaits(request.subscriber, &request.resync)
    }

    /// Delivers a history from another shard to the subscriber that requested it.
    pub fn replay(&self, response: &HistoryResponse) {
        let HistoryRequest { subscriber, resync } = &response.request;
        self.table().replay(*subscriber, resync, &response.resumed);
        self.schedule_notifier();
    }

    /// Makes the subscribers of a topic read the messages that another shard could not send from the topic's history.
    pub fn fall_back(&self, unsent: &Unsent) {
        self.table().fall_back(unsent);
        self.schedule_notifier();
    }

    /// Removes expired messages, and returns whether any topic still has a history here.
    pub fn expire_histories(&self, now: Instant) -> bool {
        let mut logs = self.logs.borrow_mut();
        logs.expire(now);
        logs.topics() > 0
    }
}
