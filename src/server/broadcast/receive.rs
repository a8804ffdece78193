//! What a shard does with a message about topics from another shard, or from a thread outside the shards.

use std::rc::Rc;

use squall_shards::{Source, spawn_detached};

use super::link::ShardLink;
use super::outbound_queue::QueueEntry;
use super::shard_message::ShardMessage;
use super::subscription::run_subscription;
use crate::app::ShardTopics;

/// Largest message from another shard that is copied, in bytes, so that its reference count stays on one core. 4 KiB.
const UNSHARED_BYTES_MAX: usize = 4096;

/// Handles a message.
pub(super) fn receive(topics: &Rc<ShardTopics>, from: Source, message: ShardMessage) {
    match message {
        ShardMessage::PublishRequest(request, receipts) => topics.publish_numbered(&request, receipts.as_ref()),
        ShardMessage::Publication(publication, receipts) => {
            topics.deliver(publication.unshared(UNSHARED_BYTES_MAX), receipts.as_ref());
        }
        ShardMessage::Unsent(unsent) => topics.fall_back(&unsent),
        ShardMessage::HistoryRequest(request) => {
            if let (Source::Shard(requester), Some(link)) = (from, ShardLink::local()) {
                // Behind the messages that already wait for that shard.
                link.send_or_queue(requester, QueueEntry::HistoryResponse(*request));
            }
        }
        ShardMessage::HistoryResponse(response) => topics.replay(&response),
        ShardMessage::Counts(changes) => topics.apply_count_changes(&changes),
        ShardMessage::Unheard(unheard) => {
            let (unheard, receipts) = *unheard;
            spawn_detached(unheard.report_when_counted(receipts));
        }
        ShardMessage::Subscribe(request) => spawn_detached(run_subscription(Rc::clone(topics), *request)),
    }
}
