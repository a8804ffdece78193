//! The link between the task of a handler and the task of its connection, where they are two.
//!
//! HTTP/1.1 polls the handler in the connection's task and leaves the link empty.

use core::task::{Poll, Waker};

use super::waker::store;

/// How the task of an exchange stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskState {
    /// It has not ended.
    #[default]
    Running,
    /// It has ended: its response was sent or given up, and `on_finish` has run.
    Ended,
    /// It was dropped before its end, so its response is incomplete.
    Dropped,
}

/// What the two tasks know of each other.
#[derive(Default)]
pub(super) struct TaskLink {
    /// The driver's task; set only where the handler has a task of its own.
    driver: Option<Waker>,
    /// The handler's task, which a cancellation wakes.
    handler: Option<Waker>,
    state: TaskState,
    is_cancelled: bool,
    pub(super) is_broken_off: bool,
    pub(super) is_given_up: bool,
}

impl TaskLink {
    /// Returns the link of a task that has ended.
    pub(super) fn ended(state: TaskState) -> Self {
        Self {
            state,
            ..Self::default()
        }
    }

    pub(super) fn state(&self) -> TaskState {
        self.state
    }

    /// Sets the driver's waker; returns the one before for the caller to drop.
    pub(super) fn set_waker(&mut self, waker: &Waker) -> Option<Waker> {
        self.driver.replace(waker.clone())
    }

    pub(super) fn driver(&self) -> Option<Waker> {
        self.driver.clone()
    }

    /// Cancels the handler; returns the waker of its task.
    pub(super) fn cancel(&mut self) -> Option<Waker> {
        self.is_cancelled = true;
        self.handler.take()
    }

    /// Ready once the driver has cancelled the handler.
    pub(super) fn poll_cancelled(&mut self, waker: &Waker) -> Poll<()> {
        if self.is_cancelled {
            return Poll::Ready(());
        }
        store(&mut self.handler, waker);
        Poll::Pending
    }
}
