//! The timers of one shard: its deadlines and its sleeps, and when the next one is due.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::Instant;

use super::sleeps::Sleeps;
use super::wheel::Wheel;

/// The timers of one shard.
pub(crate) struct Timers {
    pub(super) wheel: RefCell<Wheel<Waker>>,
    pub(super) sleeps: RefCell<Sleeps<Waker>>,
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

    /// Wakes the tasks whose time has come, at most [`EXPIRED_A_TURN_MAX`](super::expiry::EXPIRED_A_TURN_MAX) of each kind.
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
