//! What other threads have woken of a shard, until the shard takes it.

use std::sync::Arc;

use crate::message::inbox::Inbox;
use crate::sync::SegQueue;

/// The items, such as tasks, that other threads have woken.
///
/// The owner posts an item at most once, so the number of items bounds the length.
#[derive(Debug)]
pub(super) struct RemoteWakes<T> {
    inbox: Arc<Inbox>,
    woken: SegQueue<T>,
}

impl<T> RemoteWakes<T> {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            inbox,
            woken: SegQueue::new(),
        }
    }

    /// Queues an item and wakes the shard, which may sleep in a system call.
    pub(super) fn post(&self, item: T) {
        self.woken.push(item);
        self.inbox.notify();
        // The shard may have ended between the push and the notification; then it will never take this item.
        if self.inbox.has_ended() {
            self.discard();
        }
    }

    /// Takes the next item.
    pub(super) fn take(&self) -> Option<T> {
        self.woken.pop()
    }

    /// Drops every item. A shard calls it after [`Inbox::end`].
    pub(super) fn discard(&self) {
        while self.woken.pop().is_some() {}
    }
}
