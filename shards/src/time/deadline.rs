//! A deadline for each connection: coarse, and cheap to postpone.

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::schedule::ScheduleKey;
use crate::shard::context::ShardContext;
use crate::shard::shard::Shard;

/// A deadline that moves often and rarely passes, such as a connection's.
///
/// Postponing it is one store. It fires up to 32 ms (one slot of the shard's timers) late and never early. Its entry
/// among the timers stays where it is when the deadline is postponed or cleared. At that earlier moment the task is woken
/// once without effect, and the entry is made again for the current deadline.
#[derive(Default)]
pub struct Deadline {
    at: Option<Instant>,
    waiting: Option<RegisteredWaker>,
}

/// An entry among the timers; dropping it removes the entry.
struct RegisteredWaker {
    shard: Rc<ShardContext>,
    key: ScheduleKey,
    /// The deadline it fires for, less than one slot before it fires.
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
        let before = self.waiting.take();
        let shard = before.as_ref().map(|waiting| Rc::clone(&waiting.shard));
        drop(before);
        let shard = shard.unwrap_or_else(|| Shard::current().into_context());
        if shard.now() >= at {
            return Poll::Ready(());
        }
        let timers = shard.timers();
        let fires_at = timers.end_of_slot(at);
        let key = timers.deadlines.borrow_mut().insert(fires_at, waker.clone());
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
}

impl Drop for RegisteredWaker {
    fn drop(&mut self) {
        // Dropped after the borrow ends: the last waker of a task may own other timers.
        let waker = self.shard.timers().deadlines.borrow_mut().remove(&self.key);
        drop(waker);
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Deadline({:?})", self.at)
    }
}
