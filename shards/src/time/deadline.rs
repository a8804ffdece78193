//! A deadline for each connection: coarse, and cheap to postpone.

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::wheel;
use crate::shard::context::ShardContext;
use crate::shard::shard::Shard;

/// A deadline that moves often and rarely passes, such as a connection's.
///
/// Postponing it is one store. It fires up to 34 ms (one slot of the wheel) late and never early. Its entry in the
/// wheel stays where it is when the deadline is postponed or cleared. At that earlier moment the task is woken once
/// without effect, and the entry is made again for the current deadline.
#[derive(Default)]
pub struct Deadline {
    at: Option<Instant>,
    waiting: Option<RegisteredWaker>,
}

/// An entry in the wheel.
struct RegisteredWaker {
    shard: Rc<ShardContext>,
    key: wheel::Key,
    /// The moment it fires.
    at: Instant,
    /// The waker it fires.
    waker: Waker,
}

impl Deadline {
    /// Creates a deadline that is not set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            at: None,
            waiting: None,
        }
    }

    /// Sets or moves the deadline, or clears it with `None`.
    pub fn set(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    /// Returns `Ready` once the deadline has passed; `Pending` while none is set.
    ///
    /// # Panics
    ///
    /// Panics if polled on a thread that is not a shard.
    #[inline]
    pub fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        // The fast path, on every request of a connection: the entry already fires early enough.
        match &self.waiting {
            Some(waiting) if waiting.comes_first(at, cx.waker()) => Poll::Pending,
            _ => self.wait_anew(at, cx.waker()),
        }
    }

    /// Ensures that there is an entry that fires at `at` or earlier and wakes the waker.
    fn wait_anew(&mut self, at: Instant, waker: &Waker) -> Poll<()> {
        let Some(waiting) = &mut self.waiting else {
            return self.wait(Shard::current().into_context(), at, waker);
        };
        if waiting.shard.now() >= at {
            return Poll::Ready(());
        }
        if waiting.renew(at, waker) {
            return Poll::Pending;
        }
        let shard = Rc::clone(&waiting.shard);
        self.wait(shard, at, waker)
    }

    fn wait(&mut self, shard: Rc<ShardContext>, at: Instant, waker: &Waker) -> Poll<()> {
        if shard.now() >= at {
            return Poll::Ready(());
        }
        let key = shard.timers().wheel.borrow_mut().insert(at, waker.clone());
        self.waiting = Some(RegisteredWaker {
            shard,
            key,
            at,
            waker: waker.clone(),
        });
        Poll::Pending
    }
}

impl RegisteredWaker {
    /// Returns whether the entry will still fire, at `at` or earlier, and wake the waker.
    fn comes_first(&self, at: Instant, waker: &Waker) -> bool {
        self.shard.now() < self.at && self.at <= at && self.waker.will_wake(waker)
    }

    /// Moves the entry and replaces its waker; `false` if it has already fired.
    fn renew(&mut self, at: Instant, waker: &Waker) -> bool {
        let mut wheel = self.shard.timers().wheel.borrow_mut();
        if !wheel.re_arm(&self.key, at) {
            return false;
        }
        self.at = at;
        self.waker.clone_from(waker);
        let replaced = wheel
            .token_mut(&self.key)
            .map(|token| std::mem::replace(token, waker.clone()));
        // Dropped after the borrow ends: the last waker of a task may own other timers.
        drop(wheel);
        drop(replaced);
        true
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(RegisteredWaker { shard, key, .. }) = self.waiting.take() {
            let waker = shard.timers().wheel.borrow_mut().cancel(key);
            drop(waker);
        }
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Deadline({:?})", self.at)
    }
}
