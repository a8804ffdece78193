//! What waits for room in the queue to one shard, and the task that sends it then.
//!
//! Publications that found no room wait here in order, and not with their publishers: one whose future is dropped reaches that shard all the
//! same. Their number is bounded by [`PUBLICATIONS_WAITING_MAX`].
//!
//! Everything else here can be made anew at the moment it is sent, and is: an answer read from a history when there is room for it says what is true
//! then, so that messages sent behind it follow on it without a hole. That is also what bounds a lane: it holds one number for each topic with
//! a history; this shard's questions, of which each subscriber has at most [`RESYNCS_MAX`](crate::pubsub::RESYNCS_MAX) that it still waits for,
//! the others being thrown away before they are as many again; and answers to the other shard, which asks nothing while it takes nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::{Rc, Weak};

use futures_channel::oneshot;
use squall_shards::{SendError, ShardId, spawn_detached};

use super::shard_message::{HistoryRequest, ShardMessage};
use super::{LOCAL, ShardHub};
use crate::pubsub::{CountChange, Publication, Topic, Unsent};

/// How many errands wait before questions that nobody waits for any more are looked for, at the least. 1024: some 100 KiB.
const UNCHECKED_MESSAGES_MAX: usize = 1024;

/// How many publications wait for one shard at the most; more are refused. 4096: as many tasks may wait for room in a shard's queues.
const PUBLICATIONS_WAITING_MAX: usize = 4096;

/// Ready when a publication has been sent to a shard; cancelled if it was refused, or the shard has ended.
pub(super) type SentSignal = oneshot::Receiver<()>;

/// What waits for one shard, in order.
#[derive(Default)]
pub(super) struct OutboundQueue {
    messages: VecDeque<PendingMessage>,
    /// How many of them are publications.
    publications: usize,
    /// Topics of which that shard is sent nothing until it has been told.
    unsent: HashMap<Topic, Unsent>,
    /// How many errands there were after questions were last thrown away.
    checked: usize,
    is_draining: bool,
    /// The shard has ended: nothing is for it any more.
    is_closed: bool,
}

/// Something to be sent.
pub(super) enum PendingMessage {
    /// Which messages of a topic were not sent.
    Unsent(Topic),
    /// A question to that shard.
    HistoryRequest(HistoryRequest),
    /// The answer to a question of that shard.
    HistoryResponse(HistoryRequest),
    /// Numbers of subscribers.
    Counts(Vec<CountChange>),
    /// A publication, or a message for its topic's home to publish; its publisher may wait for it to be sent.
    Publication(ShardMessage, oneshot::Sender<()>),
}

/// What came of an errand.
enum SendOutcome {
    Sent,
    NoRoom,
    NothingSent,
}

impl ShardHub {
    /// Sends a numbered message on to a shard, or notes that it was not.
    pub(super) fn forward(
        &self,
        to: ShardId,
        publication: &Publication,
        receipt_sender: Option<&super::ReceiptSender>,
    ) {
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
        let message = ShardMessage::Publication(Box::new(publication.clone()), receipt_sender.cloned());
        if let Some(position) = publication.position
            && self.sender.try_send(to, message).is_err()
        {
            let topic = publication.topic.clone();
            let unsent = Unsent {
                topic: topic.clone(),
                after: position.before(),
                messages: 1,
            };
            queue.borrow_mut().unsent.insert(topic.clone(), unsent);
            self.enqueue(to, PendingMessage::Unsent(topic));
        }
    }

    /// Sends a publication to a shard, or has it wait behind those that wait for room already, so that they keep their order.
    pub(super) fn send_publication(&self, to: ShardId, message: ShardMessage) -> Option<SentSignal> {
        let queue = self.outbound_queues.get(to.index())?;
        let waiting = queue.borrow().publications;
        let message = match waiting {
            0 => self.sender.try_send(to, message).err()?.message,
            _ => message,
        };
        let (on_sent, sent) = oneshot::channel();
        // Dropped with its sender, a publication is refused.
        if waiting < PUBLICATIONS_WAITING_MAX && !queue.borrow().is_closed {
            queue.borrow_mut().publications += 1;
            self.enqueue(to, PendingMessage::Publication(message, on_sent));
        }
        Some(sent)
    }

    /// Sends something to a shard, behind what waits for it.
    pub(super) fn send_or_queue(&self, to: ShardId, pending: PendingMessage) {
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

    /// Whether anything waits for any shard.
    pub(super) fn has_pending_messages(&self) -> bool {
        self.outbound_queues
            .iter()
            .any(|queue| !queue.borrow().messages.is_empty())
    }

    fn enqueue(&self, to: ShardId, pending: PendingMessage) {
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

    /// Throws away the questions that nobody waits for any more, and those that are asked twice.
    fn drop_stale_requests(&self, queue: &mut OutboundQueue) {
        let topics = self.topics();
        let mut requested = HashSet::new();
        queue.messages.retain(|pending| match pending {
            PendingMessage::HistoryRequest(request) => {
                topics.awaits(request.subscriber, &request.resync) && requested.insert(request.clone())
            }
            PendingMessage::Unsent(_)
            | PendingMessage::HistoryResponse(_)
            | PendingMessage::Counts(_)
            | PendingMessage::Publication(..) => true,
        });
        queue.checked = queue.messages.len();
    }

    /// What an errand carries at this moment.
    fn message_for(&self, to: ShardId, pending: &PendingMessage) -> Option<ShardMessage> {
        Some(match pending {
            PendingMessage::Unsent(topic) => {
                let queue = self.outbound_queues.get(to.index())?.borrow();
                ShardMessage::Unsent(Box::new(queue.unsent.get(topic)?.clone()))
            }
            PendingMessage::HistoryRequest(request) => ShardMessage::HistoryRequest(Box::new(request.clone())),
            PendingMessage::HistoryResponse(request) => {
                ShardMessage::HistoryResponse(Box::new(self.read_history(request)))
            }
            PendingMessage::Counts(changes) => ShardMessage::Counts(changes.clone()),
            // It cannot be made anew, and is sent as it is.
            PendingMessage::Publication(..) => return None,
        })
    }

    /// Runs the first errand of a lane.
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
            PendingMessage::Publication(message, on_sent) => return self.send_waiting(to, message, on_sent),
            other => other,
        };
        let message = self.message_for(to, &pending);
        if message.is_some_and(|message| self.sender.try_send(to, message).is_err()) {
            queue.borrow_mut().messages.push_front(pending);
            return SendOutcome::NoRoom;
        }
        if let PendingMessage::Unsent(topic) = &pending {
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
            let pending = PendingMessage::Publication(message, on_sent);
            queue.borrow_mut().messages.push_front(pending);
            return SendOutcome::NoRoom;
        }
        queue.borrow_mut().publications -= 1;
        // Its publisher may have given up.
        on_sent.send(()).unwrap_or_default();
        SendOutcome::Sent
    }

    /// Forgets what waits for a shard that has ended.
    fn close_queue(&self, to: ShardId) {
        if let Some(queue) = self.outbound_queues.get(to.index()) {
            let closed = OutboundQueue {
                is_closed: true,
                ..OutboundQueue::default()
            };
            // Dropped when nothing is borrowed, for it wakes publishers.
            let before = queue.replace(closed);
            drop(before);
        }
    }
}

/// Sends what waits for a shard, whenever there is room, until nothing does.
async fn drain_queue(to: ShardId) {
    while let Some(hub) = LOCAL.with_borrow(Weak::upgrade) {
        match hub.send_next(to) {
            SendOutcome::Sent => {}
            SendOutcome::NothingSent => return,
            SendOutcome::NoRoom => {
                let sender = hub.sender.clone();
                let weak = Rc::downgrade(&hub);
                drop(hub);
                if !sender.has_room(to).await {
                    if let Some(hub) = weak.upgrade() {
                        hub.close_queue(to);
                    }
                    return;
                }
            }
        }
    }
}
