//! A recipient that is a task: it sleeps until messages wait for it.

use core::cell::{Cell, RefCell};
use core::task::{Context, Poll, Waker};

use super::recipients::Recipient;

/// A flag and the waker of the one task that waits for it.
#[derive(Debug, Default)]
pub struct Notify {
    is_notified: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Notify {
    /// Ready if a notification came since the last call.
    ///
    /// Only the task of the last call is woken.
    pub fn poll_notified(&self, task: &Context<'_>) -> Poll<()> {
        if self.is_notified.replace(false) {
            return Poll::Ready(());
        }
        let before = self.waker.borrow_mut().replace(task.waker().clone());
        drop(before);
        Poll::Pending
    }
}

impl Recipient for Notify {
    fn notify(&self) {
        self.is_notified.set(true);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
