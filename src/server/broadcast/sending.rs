//! Sending to the other shards: at once, or from the [outbound queue](super::outbound_queue) when there is room.

use std::collections::HashSet;
use std::rc::Rc;

use futures_channel::oneshot;
use squall_shards::{SendError, ShardId, spawn_detached};

use super::link::ShardLink;
use super::outbound_queue::{OutboundQueue, QueueEntry, SentSignal};
use super::shard_message::ShardMessage;
use crate::app::{OtherShards as _, ReceiptSender};
use crate::pubsub::{Publication, Unsent};

/// Fewest pending messages at which stale history requests are dropped. 1024: about 100 KiB.
const UNCHECKED_MESSAGES_MAX: usize = 1024;

/// Most publications that wait for one shard; more are rejected. 4096: the number of tasks that may wait for room in a
/// shard's queues.
pub(super) const PUBLICATIONS_WAITING_MAX: usize = 4096;

/// The result of sending the first entry.
enum SendOutcome {
    Sent,
    NoRoom,
    NothingSent,
}

impl ShardLink {
    /// Forwards a numbered message to a shard, or records that it was not sent.
    pub(super) fn forward(&self, to: ShardId, publication: &Publication, receipts: Option<&ReceiptSender>) {
        let Some(queue) = self.outbound_queues.get(to.index()) else {
            return;
        };
        if queue.borrow().is_closed {
            return;
        }
        if let Some(unsent) = queue.borrow_mut().unsent.get_mut(&publication.topic) {
            unsent.messages += 1;
            return;
        }
        let message = ShardMessage::Publication(Box::new(publication.clone()), receipts.cloned());
        if let Some(position) = publication.position
            // From the first message that did not fit, the receiving shard reads the topic's history instead.
            && self.sender.try_send(to, message).is_err()
        {
            let topic = publication.topic.clone();
            let unsent = Unsent {
                topic: topic.clone(),
                after: position.before(),
                messages: 1,
            };
            queue.borrow_mut().unsent.insert(topic.clone(), unsent);
            self.enqueue(to, QueueEntry::Unsent(topic));
        }
    }

    /// Sends a publication to a shard, or queues it behind the publications that already wait.
    pub(super) fn send_publication(&self, to: ShardId, message: ShardMessage) -> Option<SentSignal> {
        let queue = self.outbound_queues.get(to.index())?;
        let waiting = queue.borrow().publications;
        let message = match waiting {
            // With publications waiting, a direct send would overtake them.
            0 => self.sender.try_send(to, message).err()?.message,
            _ => message,
        };
        let (on_sent, sent) = oneshot::channel();
        // Dropping `on_sent` rejects the publication.
        if waiting < PUBLICATIONS_WAITING_MAX && !queue.borrow().is_closed {
            queue.borrow_mut().publications += 1;
            self.enqueue(to, QueueEntry::Publication(message, on_sent));
        }
        Some(sent)
    }

    /// Sends a message to a shard, or queues it behind the messages that already wait.
    pub(super) fn send_or_queue(&self, to: ShardId, pending: QueueEntry) {
        let is_first = self
            .outbound_queues
            .get(to.index())
            .is_some_and(|queue| queue.borrow().messages.is_empty());
        let sent = is_first
            && self
                .message_for(to, &pending)
                .is_some_and(|message| self.sender.try_send(to, message).is_ok());
        if !sent {
            self.enqueue(to, pending);
        }
    }

    /// Returns whether any message waits for any shard.
    pub(super) fn has_pending_messages(&self) -> bool {
        self.outbound_queues
            .iter()
            .any(|queue| !queue.borrow().messages.is_empty())
    }

    fn enqueue(&self, to: ShardId, pending: QueueEntry) {
        let Some(queue) = self.outbound_queues.get(to.index()) else {
            return;
        };
        let mut queue = queue.borrow_mut();
        if queue.is_closed {
            return;
        }
        queue.messages.push_back(pending);
        if queue.messages.len() > UNCHECKED_MESSAGES_MAX.max(2 * queue.checked) {
            self.drop_stale_requests(&mut queue);
        }
        if !queue.is_draining {
            queue.is_draining = true;
            drop(queue);
            spawn_detached(drain_queue(to));
        }
    }

    /// Drops history requests that no subscriber waits for, and duplicates.
    fn drop_stale_requests(&self, queue: &mut OutboundQueue) {
        let Some(topics) = self.topics.upgrade() else {
            return;
        };
        let mut requested = HashSet::new();
        queue.messages.retain(|pending| match pending {
            QueueEntry::HistoryRequest(request) => topics.awaits(request) && requested.insert(request.clone()),
            QueueEntry::Unsent(_)
            | QueueEntry::HistoryResponse(_)
            | QueueEntry::Counts(_)
            | QueueEntry::Publication(..) => true,
        });
        queue.checked = queue.messages.len();
    }

    /// Builds the message of an entry from the current state.
    fn message_for(&self, to: ShardId, pending: &QueueEntry) -> Option<ShardMessage> {
        Some(match pending {
            QueueEntry::Unsent(topic) => {
                let queue = self.outbound_queues.get(to.index())?.borrow();
                ShardMessage::Unsent(Box::new(queue.unsent.get(topic)?.clone()))
            }
            QueueEntry::HistoryRequest(request) => ShardMessage::HistoryRequest(Box::new(request.clone())),
            QueueEntry::HistoryResponse(request) => {
                ShardMessage::HistoryResponse(Box::new(self.topics.upgrade()?.read_history(request)))
            }
            QueueEntry::Counts(changes) => ShardMessage::Counts(changes.clone()),
            // A publication cannot be rebuilt; `send_waiting` sends it as it is.
            QueueEntry::Publication(..) => return None,
        })
    }

    /// Sends the first entry of a queue.
    fn send_next(&self, to: ShardId) -> SendOutcome {
        let Some(queue) = self.outbound_queues.get(to.index()) else {
            return SendOutcome::NothingSent;
        };
        let Some(pending) = queue.borrow_mut().messages.pop_front() else {
            queue.borrow_mut().is_draining = false;
            self.share_counts();
            return SendOutcome::NothingSent;
        };
        let pending = match pending {
            QueueEntry::Publication(message, on_sent) => return self.send_waiting(to, message, on_sent),
            other => other,
        };
        let message = self.message_for(to, &pending);
        if message.is_some_and(|message| self.sender.try_send(to, message).is_err()) {
            queue.borrow_mut().messages.push_front(pending);
            return SendOutcome::NoRoom;
        }
        if let QueueEntry::Unsent(topic) = &pending {
            queue.borrow_mut().unsent.remove(topic);
        }
        SendOutcome::Sent
    }

    /// Sends a publication that has waited, if there is room now.
    fn send_waiting(&self, to: ShardId, message: ShardMessage, on_sent: oneshot::Sender<()>) -> SendOutcome {
        let refused = self.sender.try_send(to, message).err();
        let Some(queue) = self.outbound_queues.get(to.index()) else {
            return SendOutcome::NothingSent;
        };
        if let Some(SendError { message, .. }) = refused {
            let pending = QueueEntry::Publication(message, on_sent);
            queue.borrow_mut().messages.push_front(pending);
            return SendOutcome::NoRoom;
        }
        queue.borrow_mut().publications -= 1;
        // The publisher may have stopped waiting.
        on_sent.send(()).unwrap_or_default();
        SendOutcome::Sent
    }

    /// Drops everything that waits for a shard that has ended.
    fn close_queue(&self, to: ShardId) {
        if let Some(queue) = self.outbound_queues.get(to.index()) {
            let closed = OutboundQueue {
                is_closed: true,
                ..OutboundQueue::default()
            };
            // Dropping the messages wakes publishers, so nothing may be borrowed here.
            let before = queue.replace(closed);
            drop(before);
        }
    }
}

/// Sends what waits for a shard whenever there is room, until the queue is empty.
async fn drain_queue(to: ShardId) {
    while let Some(link) = ShardLink::local() {
        match link.send_next(to) {
            SendOutcome::Sent => {}
            SendOutcome::NothingSent => return,
            SendOutcome::NoRoom => {
                let sender = link.sender.clone();
                // Only a weak reference is held while waiting, so that the link can be dropped with its shard.
                let weak = Rc::downgrade(&link);
                drop(link);
                if !sender.has_room(to).await {
                    if let Some(link) = weak.upgrade() {
                        link.close_queue(to);
                    }
                    return;
                }
            }
        }
    }
}
