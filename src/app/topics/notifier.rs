//! The notifier: notifies subscribers at the end of a turn that messages wait for them. A task of the server polls it.

use core::task::{Context, Poll};

use super::shard_topics::ShardTopics;

impl ShardTopics {
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
    pub fn poll_notifier(&self, task: &Context<'_>) -> Poll<()> {
        self.is_notifier_scheduled.set(false);
        // Each step borrows anew, so that a recipient may use the topics.
        loop {
            let announced = self.table().next_announced();
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
