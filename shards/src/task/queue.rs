//! The queue of a shard's tasks to be polled.
//!
//! Both drivers share it. The turn polls it directly, so a wake is one push and a poll one pop. A benchmark of two drivers
//! therefore compares drivers, not schedulers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::task::Waker;

/// The keys of the tasks to be polled, in the order they were woken.
#[derive(Debug, Default)]
pub(super) struct RunQueue {
    keys: RefCell<VecDeque<usize>>,
    /// Woken when the first task becomes runnable: the driver, if its sleep is a future.
    sleeper: RefCell<Option<Waker>>,
}

impl RunQueue {
    /// Appends a task.
    pub(super) fn push(&self, key: usize) {
        let mut keys = self.keys.borrow_mut();
        keys.push_back(key);
        // Only the first task ends the sleep; the others find the shard awake.
        if keys.len() == 1
            && let Some(sleeper) = &*self.sleeper.borrow()
        {
            sleeper.wake_by_ref();
        }
    }

    /// Takes the first task.
    pub(super) fn pop(&self) -> Option<usize> {
        self.keys.borrow_mut().pop_front()
    }

    /// Returns how many tasks wait to be polled.
    pub(super) fn len(&self) -> usize {
        self.keys.borrow().len()
    }

    pub(super) fn set_sleeper(&self, sleeper: Option<Waker>) {
        *self.sleeper.borrow_mut() = sleeper;
    }
}
