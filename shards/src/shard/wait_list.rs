//! The tasks of one shard that wait for the same event.
//!
//! Invariant: wakers are woken and dropped while the list is not borrowed, because a waker may run anything. The last
//! waker of a task drops it, with a [`Wait`] it owns.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

use slab::Slab;

/// The wakers of tasks that wait for the same event.
#[derive(Debug, Default)]
pub struct WaitList {
    pub(super) wakers: RefCell<Slab<Waker>>,
}

impl WaitList {
    /// Adds an entry, which wakes no task until [`Wait::set_waker`].
    #[must_use]
    pub fn join(self: &Rc<Self>) -> Wait {
        Wait {
            list: Rc::clone(self),
            index: self.wakers.borrow_mut().insert(Waker::noop().clone()),
        }
    }

    /// Wakes every task; an entry stays until its [`Wait`] is dropped.
    pub fn wake_all(&self) {
        let wakers: Vec<Waker> = self.wakers.borrow().iter().map(|(_, waker)| waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Returns the highest [`Wait::index`], or 0 without entries.
    #[must_use]
    pub fn last_index(&self) -> usize {
        self.wakers.borrow().iter().next_back().map_or(0, |(index, _)| index)
    }
}

/// An entry of a [`WaitList`]; dropping it removes the entry.
#[derive(Debug)]
pub struct Wait {
    list: Rc<WaitList>,
    index: usize,
}

impl Wait {
    /// Returns the entry's place in its list, from 0; the place of a removed entry is used again.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Sets the task to wake, without a clone if it is set already.
    pub fn set_waker(&self, waker: &Waker) {
        let mut wakers = self.list.wakers.borrow_mut();
        if let Some(known) = wakers.get_mut(self.index)
            && !known.will_wake(waker)
        {
            let before = std::mem::replace(known, waker.clone());
            drop(wakers);
            drop(before);
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let waker = self.list.wakers.borrow_mut().try_remove(self.index);
        drop(waker);
    }
}
