//! What a shard does for the topics whose home it is: numbering, keeping, answering; what it asks the homes of other topics; and how many
//! subscribers there are.

use std::num::NonZeroUsize;
use std::rc::{Rc, Weak};
use std::time::Duration;

use squall_shards::{ShardId, sleep, spawn_detached};

use super::outbound_queue::PendingMessage;
use super::shard_message::{HistoryRequest, HistoryResponse, ReceiptSender};
use super::{LOCAL, ShardHub};
use crate::app::{PublishRequest, encode};
use crate::pubsub::{Resync, SubscriberId, Topic};

/// How much of a history is given at once. 64 KiB: a subscriber asks when no more than that waits for it, and what it gets then is half of
/// what may.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// How often histories are looked through for what is too old, while there are any.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);

impl ShardHub {
    /// The shard that numbers a topic's messages.
    pub(super) fn owner(&self, topic: &Topic) -> ShardId {
        let shards = NonZeroUsize::new(self.shard.count()).unwrap_or(NonZeroUsize::MIN);
        ShardId::new(topic.owner(shards))
    }

    /// Numbers a message of a topic at home here, keeps it, and publishes it on every shard.
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

    /// Gets a subscriber of this shard what it wants of a history, now or when its home has answered.
    pub(super) fn request_history(&self, subscriber: SubscriberId, resync: Resync) {
        let request = HistoryRequest { subscriber, resync };
        let owner = self.owner(&request.resync.topic);
        if owner == self.shard.id() {
            let HistoryResponse { request, resumed } = self.read_history(&request);
            let mut topics = self.topics();
            topics.replay(request.subscriber, &request.resync, &resumed);
        } else {
            self.send_or_queue(owner, PendingMessage::HistoryRequest(request));
        }
    }

    /// Answers a question of another shard, behind what that has still to be told.
    pub(super) fn respond_to(&self, requester: ShardId, request: HistoryRequest) {
        self.send_or_queue(requester, PendingMessage::HistoryResponse(request));
    }

    /// What a history says at this moment.
    pub(super) fn read_history(&self, request: &HistoryRequest) -> HistoryResponse {
        let mut logs = self.logs.borrow_mut();
        let Resync { topic, start } = &request.resync;
        let resumed = logs.resume(topic, *start, RESPONSE_BYTES_MAX, self.shard.now());
        HistoryResponse {
            request: request.clone(),
            resumed,
        }
    }

    /// Tells all shards how the numbers of subscribers have changed here, unless some have still to be told of earlier changes: those that
    /// come meanwhile add up.
    pub(super) fn share_counts(&self) {
        if !self.topics().has_count_changes() || self.has_pending_messages() {
            return;
        }
        let changes: Vec<_> = self.topics().take_count_changes().collect();
        let mut counts = self.counts.borrow_mut();
        changes.iter().for_each(|change| counts.apply(change));
        drop(counts);
        for shard in self.others() {
            self.send_or_queue(shard, PendingMessage::Counts(changes.clone()));
        }
    }
}

/// Forgets what is too old, as long as anything is kept.
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
