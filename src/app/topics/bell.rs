//! A recipient that is a task: it waits until something waits for it.

use core::cell::{Cell, RefCell};
use core::task::{Context, Poll, Waker};

use super::hub::Recipient;

/// Rung when something waits.
#[derive(Debug, Default)]
pub struct Bell {
    is_rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    /// Ready when it has been rung since it was last asked. One task waits for it.
    pub fn poll_rung(&self, task: &Context<'_>) -> Poll<()> {
        if self.is_rung.replace(false) {
            return Poll::Ready(());
        }
        let before = self.waker.borrow_mut().replace(task.waker().clone());
        drop(before);
        Poll::Pending
    }
}

impl Recipient for Bell {
    fn announce(&self) {
        self.is_rung.set(true);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
