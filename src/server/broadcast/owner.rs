//! The owner's work for a topic with a history: numbering messages, retaining them and responding to requests. Also the
//! requests to other owners, and the exchange of subscriber counts.

use std::num::NonZeroUsize;
use std::rc::{Rc, Weak};
use std::time::Duration;

use squall_shards::{ShardId, sleep, spawn_detached};

use super::outbound_queue::QueueEntry;
use super::shard_message::{HistoryRequest, HistoryResponse, ReceiptSender};
use super::{LOCAL, ShardHub};
use crate::app::{PublishRequest, encode};
use crate::pubsub::{Resync, SubscriberId, Topic};

/// Most bytes of one history response. 64 KiB: a subscriber requests a history when at most 64 KiB wait for it, so its
/// queue then reaches half of its limit.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// How often expired messages are removed while there is any history.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);

impl ShardHub {
    /// Returns the shard that numbers a topic's messages.
    pub(super) fn owner(&self, topic: &Topic) -> ShardId {
        let shards = NonZeroUsize::new(self.shard.count()).unwrap_or(NonZeroUsize::MIN);
        ShardId::new(topic.owner(shards))
    }

    /// Numbers a message of a topic this shard owns, retains it, and publishes it on every shard.
    pub(super) fn fan_out_numbered(&self, request: &PublishRequest, receipt_sender: Option<&ReceiptSender>) {
        let options = self.rules.of(&request.topic);
        let Some(history) = options.history else {
            return;
        };
        let mut logs = self.logs.borrow_mut();
        let is_first = logs.topics() == 0;
        let make = |position| encode(request, options, Some(position), &mut self.deflaters.borrow_mut());
        let publication = logs.append(&request.topic, history, make, self.shard.now());
        drop(logs);
        if is_first {
            spawn_detached(expire());
        }
        for shard in self.others() {
            self.forward(shard, &publication, receipt_sender);
        }
        self.deliver(publication, receipt_sender);
    }

    /// Requests a topic's history for a subscriber of this shard; an own history is replayed at once.
    pub(super) fn request_history(&self, subscriber: SubscriberId, resync: Resync) {
        let request = HistoryRequest { subscriber, resync };
        let owner = self.owner(&request.resync.topic);
        if owner == self.shard.id() {
            let HistoryResponse { request, resumed } = self.read_history(&request);
            let mut topics = self.topics();
            topics.replay(request.subscriber, &request.resync, &resumed);
        } else {
            self.send_or_queue(owner, QueueEntry::HistoryRequest(request));
        }
    }

    /// Responds to another shard's history request, behind the messages that already wait for that shard.
    pub(super) fn respond_to(&self, requester: ShardId, request: HistoryRequest) {
        self.send_or_queue(requester, QueueEntry::HistoryResponse(request));
    }

    /// Reads a topic's history as it is now.
    pub(super) fn read_history(&self, request: &HistoryRequest) -> HistoryResponse {
        let mut logs = self.logs.borrow_mut();
        let Resync { topic, start } = &request.resync;
        let resumed = logs.resume(topic, *start, RESPONSE_BYTES_MAX, self.shard.now());
        HistoryResponse {
            request: request.clone(),
            resumed,
        }
    }

    /// Sends this shard's changes of subscriber counts to all shards.
    ///
    /// Does nothing while earlier messages wait: changes that come meanwhile add up and cancel out.
    pub(super) fn share_counts(&self) {
        if !self.topics().has_count_changes() || self.has_pending_messages() {
            return;
        }
        let changes: Vec<_> = self.topics().take_count_changes().collect();
        let mut counts = self.counts.borrow_mut();
        changes.iter().for_each(|change| counts.apply(change));
        drop(counts);
        for shard in self.others() {
            self.send_or_queue(shard, QueueEntry::Counts(changes.clone()));
        }
    }
}

/// Removes expired messages once a second, until no topic has a history.
async fn expire() {
    loop {
        sleep(EXPIRE_INTERVAL).await;
        let Some(hub) = LOCAL.with_borrow(Weak::upgrade) else {
            return;
        };
        let mut logs = hub.logs.borrow_mut();
        logs.expire(hub.shard.now());
        if logs.topics() == 0 {
            return;
        }
        drop(logs);
        drop::<Rc<_>>(hub);
    }
}
