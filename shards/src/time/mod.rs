//! Time for tasks: precise sleeps, and coarse deadlines that cost next to nothing to put off.
//!
//! Behind them are two pure structures, the [`wheel`] and the [`sleeps`]; here they meet the shard's clock and its tasks. The driver asks
//! [`Timers::next_deadline`] when it must be awake and calls [`Timers::expire`] once a turn.

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

/// How many deadlines, and how many sleeps, a turn tells of at the most; the others come in the next. What a task does when its time is up,
/// such as telling a slow peer 408, takes some 10 µs, and whoever has bytes waiting waits for all of them: where two thousand
/// end at once, 0.2 ms at a time instead of 15.
const EXPIRED_A_TURN_MAX: usize = 16;

/// Everything on one shard that waits for a time.
pub(crate) struct Timers {
    wheel: RefCell<Wheel<Waker>>,
    sleeps: RefCell<Sleeps<Waker>>,
    /// The last `expire` stopped at its bound with more due.
    more_due: Cell<bool>,
    /// The wakers of one `expire`, kept for their memory; woken after the borrows end, because a waker may run anything.
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

    /// When the shard must be awake at the latest; `None` while nobody waits for a time.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let tick = self.wheel.borrow().next_tick();
        let sleep = self.sleeps.borrow().next();
        match (tick, sleep) {
            (Some(tick), Some(sleep)) => Some(tick.min(sleep)),
            (tick, sleep) => tick.or(sleep),
        }
    }

    /// How many deadlines and sleeps are alive.
    pub(crate) fn len(&self) -> usize {
        self.wheel.borrow().len() + self.sleeps.borrow().len()
    }

    /// Whether what is due did not fit into one turn, so that the shard must not sleep.
    pub(crate) fn more_due(&self) -> bool {
        self.more_due.get()
    }

    /// Wakes those whose time has come, a bounded number a turn.
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

/// Waits for a duration, to the precision of the kernel's timers. One that no clock will ever show, such as `Duration::MAX`, is
/// a century.
///
/// Cancel safety: dropping it forgets it.
///
/// # Panics
///
/// Polled on a thread that is not a shard's.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(crate::clock::after(duration))
}

/// Waits until a moment; ready at once if it has passed.
///
/// # Panics
///
/// Polled on a thread that is not a shard's.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        waiting: None,
    }
}

/// The future of [`sleep`].
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
            // Taken out first and dropped after the borrow: the last waker of a task may own other sleeps.
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

/// A deadline that is moved often and reached seldom, such as a connection's. Putting it off is one store; it is met up to
/// 34 ms (a slot of the wheel) late and never early.
///
/// Its entry in the wheel stays where it is when the deadline is put off or lifted. When that earlier moment comes, the task is woken
/// for nothing, once, and the entry is made anew for the moment that counts then.
#[derive(Default)]
pub struct Deadline {
    at: Option<Instant>,
    waiting: Option<RegisteredWaker>,
}

/// An entry in the wheel.
struct RegisteredWaker {
    shard: Rc<ShardContext>,
    key: wheel::Key,
    /// When it fires.
    at: Instant,
    /// Whom it wakes.
    waker: Waker,
}

impl Deadline {
    /// Makes a deadline that is not set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            at: None,
            waiting: None,
        }
    }

    /// Sets, moves or (with `None`) lifts the deadline.
    pub fn set(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    /// Ready once the deadline has passed; pending for ever while none is set.
    ///
    /// # Panics
    ///
    /// Polled on a thread that is not a shard's.
    #[inline]
    pub fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        // On every request of a connection nothing more is to do.
        match &self.waiting {
            Some(waiting) if waiting.comes_first(at, cx.waker()) => Poll::Pending,
            _ => self.wait_anew(at, cx.waker()),
        }
    }

    /// Sees to it that there is an entry that fires at `at` or earlier and wakes the waker.
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
    /// Whether the entry will wake the waker, and not after `at`: it is there until its moment.
    fn comes_first(&self, at: Instant, waker: &Waker) -> bool {
        self.shard.now() < self.at && self.at <= at && self.waker.will_wake(waker)
    }

    /// Moves the entry and has it wake somebody else; `false` if it has fired already.
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
