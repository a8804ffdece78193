//! When a socket expires, as its handler and the task that waits for it share it.

use core::cell::{Cell, RefCell};
use core::task::Waker;
use std::time::Instant;

/// The close code of a socket whose time is over, or whose user was disconnected: 4401, after the status 401.
pub(super) const UNAUTHORIZED: u16 = 4401;

/// When a socket expires.
#[derive(Default)]
pub(super) struct Expiry {
    at: Cell<Option<Instant>>,
    /// Whether a task waits for it.
    pub(super) is_watched: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Expiry {
    /// The moment; `None` if the socket does not expire.
    pub(super) fn at(&self) -> Option<Instant> {
        self.at.get()
    }

    /// Sets the moment, and wakes the task that waits for the one before.
    pub(super) fn set(&self, at: Option<Instant>) {
        self.at.set(at);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn set_waker(&self, waker: &Waker) {
        self.waker.replace(Some(waker.clone()));
    }
}
