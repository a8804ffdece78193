//! A recipient that is a task: it waits until something waits for it.

use core::cell::{Cell, RefCell};
use core::task::{Context, Poll, Waker};

use super::server_handle::Recipient;

/// Rung when something waits.
#[derive(Debug, Default)]
pub struct Notify {
    is_notified: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Notify {
    /// Ready when it has been rung since it was last asked. One task waits for it.
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
