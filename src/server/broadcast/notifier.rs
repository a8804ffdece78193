//! The notifier: the task that notifies subscribers at the end of a turn that messages wait for them.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use squall_shards::spawn_detached;

use super::ShardHub;
use crate::app::Recipient;
use crate::pubsub::SubscriberId;

/// The recipient behind each subscriber of the shard, by the subscriber's index.
#[derive(Default)]
pub(super) struct Recipients {
    entries: Vec<Option<(SubscriberId, Rc<dyn Recipient>)>>,
}

impl Recipients {
    pub(super) fn insert(&mut self, subscriber: SubscriberId, recipient: Rc<dyn Recipient>) {
        let index = subscriber.index();
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = Some((subscriber, recipient));
        }
    }

    /// Removes a recipient and returns it, so that the caller can drop it while nothing is borrowed.
    pub(super) fn remove(&mut self, subscriber: SubscriberId) -> Option<Rc<dyn Recipient>> {
        let entry = self.entries.get_mut(subscriber.index())?;
        let removed = entry.take_if(|(known, _)| *known == subscriber);
        while self.entries.last().is_some_and(Option::is_none) {
            self.entries.pop();
        }
        removed.map(|(_, recipient)| recipient)
    }

    fn find(&self, subscriber: SubscriberId) -> Option<Rc<dyn Recipient>> {
        let (known, recipient) = self.entries.get(subscriber.index())?.as_ref()?;
        (*known == subscriber).then(|| Rc::clone(recipient))
    }
}

/// Starts the notifier, which runs until the hub is dropped.
pub(super) fn start(hub: &Rc<ShardHub>) {
    let hub = Rc::downgrade(hub);
    spawn_detached(poll_fn(move |task| match hub.upgrade() {
        Some(hub) => hub.poll_notifier(task),
        None => Poll::Ready(()),
    }));
}

impl ShardHub {
    /// Wakes the notifier, so that it runs after this turn's tasks.
    pub(super) fn schedule_notifier(&self) {
        if !self.is_notifier_scheduled.replace(true) {
            let notifier = self.notifier.take();
            if let Some(notifier) = notifier {
                notifier.wake();
            }
        }
    }

    /// Notifies every subscriber that has something new, and waits for the next wake.
    fn poll_notifier(&self, task: &Context<'_>) -> Poll<()> {
        self.is_notifier_scheduled.set(false);
        // Each step borrows anew, so that a recipient may use the hub.
        loop {
            let announced = self.topics().next_announced();
            let Some(subscriber) = announced else { break };
            let recipient = self.recipients.borrow().find(subscriber);
            if let Some(recipient) = recipient {
                recipient.notify();
            }
        }
        *self.notifier.borrow_mut() = Some(task.waker().clone());
        Poll::Pending
    }
}
