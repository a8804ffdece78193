//! Timers for tasks: precise sleeps, and coarse deadlines that cost one store to postpone.
//!
//! They rest on two pure structures, the [`wheel`] and the [`sleeps`]; this file adds the shard's clock and its tasks.
//! The driver asks [`Timers::next_deadline`] when to wake, and the turn calls [`Timers::expire`].

pub(crate) mod sleeps;
mod timeout;
pub(crate) mod wheel;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sleeps::{SleepKey, Sleeps};
use wheel::Wheel;

pub use timeout::timeout_at;

use crate::shard::shard::{Shard, ShardContext};

/// How many deadlines, and how many sleeps, are fired per turn at most; the rest follow in the next turns. 16: the task
/// of an expired deadline, such as a 408 to a slow peer, takes some 10 µs, and every peer with bytes waiting waits for
/// it. When 2,000 expire at once, peers wait 0.2 ms at a time instead of 15 ms.
const EXPIRED_A_TURN_MAX: usize = 16;

/// The timers of one shard.
pub(crate) struct Timers {
    wheel: RefCell<Wheel<Waker>>,
    sleeps: RefCell<Sleeps<Waker>>,
    /// Whether the last `expire` stopped at its bound with more due.
    more_due: Cell<bool>,
    /// The wakers of one `expire`, kept for its allocation. They are woken after the borrows end, because a waker may
    /// run anything.
    due: RefCell<Vec<Waker>>,
}

impl Timers {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            wheel: RefCell::new(Wheel::new(now)),
            sleeps: RefCell::new(Sleeps::new()),
            more_due: Cell::new(false),
            due: RefCell::default(),
        }
    }

    /// Returns when the shard must be awake at the latest, or `None` without timers.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let tick = self.wheel.borrow().next_tick();
        let sleep = self.sleeps.borrow().next();
        match (tick, sleep) {
            (Some(tick), Some(sleep)) => Some(tick.min(sleep)),
            (tick, sleep) => tick.or(sleep),
        }
    }

    /// Returns the number of live deadlines and sleeps.
    pub(crate) fn len(&self) -> usize {
        self.wheel.borrow().len() + self.sleeps.borrow().len()
    }

    /// Returns whether more is due than one turn fires, so that the shard must not sleep.
    pub(crate) fn more_due(&self) -> bool {
        self.more_due.get()
    }

    /// Wakes the tasks whose time has come, at most [`EXPIRED_A_TURN_MAX`] of each kind.
    pub(crate) fn expire(&self, now: Instant) {
        let mut due = self.due.take();
        let wheel = self.wheel.borrow_mut().expire(now, &mut |waker| due.push(waker));
        let sleeps = self.sleeps.borrow_mut().expire(now, &mut |waker| due.push(waker));
        self.more_due.set(wheel.more_due || sleeps);
        for waker in due.drain(..) {
            waker.wake();
        }
        self.due.replace(due);
    }
}

/// Waits for a duration, with the precision of the kernel's timers.
///
/// A duration that overflows the clock, such as `Duration::MAX`, counts as a century.
///
/// Cancel safety: safe; dropping it removes the timer.
///
/// # Panics
///
/// Panics if polled on a thread that is not a shard.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(crate::clock::after(duration))
}

/// Waits until a moment; completes at once if it has passed.
///
/// # Panics
///
/// Panics if polled on a thread that is not a shard.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        waiting: None,
    }
}

/// The future returned by [`sleep`] and [`sleep_until`].
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    deadline: Instant,
    waiting: Option<(Rc<ShardContext>, SleepKey)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        if let Some((shard, key)) = &self.waiting {
            return match shard.timers().sleeps.borrow_mut().token_mut(key) {
                Some(waker) => {
                    waker.clone_from(cx.waker());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            };
        }
        let shard = Shard::current().into_context();
        if deadline <= shard.now() {
            return Poll::Ready(());
        }
        let key = shard.timers().sleeps.borrow_mut().insert(deadline, cx.waker().clone());
        self.waiting = Some((shard, key));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((shard, key)) = &self.waiting {
            // Dropped after the borrow ends: the last waker of a task may own other sleeps.
            let waker = shard.timers().sleeps.borrow_mut().remove(key);
            drop(waker);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sleep(until {:?})", self.deadline)
    }
}

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
