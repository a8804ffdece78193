//! The timers of one shard: its deadlines and its sleeps, and when the next one is due.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::schedule::Schedule;

/// The width of a slot, whose deadlines fire together. 1/32 s: an idle shard wakes at most 32 times a second for
/// deadlines, and the shortest default one is 300 times as long.
const SLOT_NANOSECONDS: u32 = 1_000_000_000 / 32;

/// The timers of one shard.
pub(crate) struct Timers {
    /// The origin of the slots of deadlines.
    origin: Instant,
    /// Of connections. Apart from the sleeps, so that many expired connections delay no sleep.
    pub(super) deadlines: RefCell<Schedule<Waker>>,
    pub(super) sleeps: RefCell<Schedule<Waker>>,
    /// Whether the last `expire` stopped at its bound with more due.
    more_due: Cell<bool>,
    /// The wakers of one `expire`, kept for its allocation. They are woken after the borrows end, because a waker may
    /// run anything.
    due: RefCell<Vec<Waker>>,
}

impl Timers {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            origin: now,
            deadlines: RefCell::new(Schedule::new()),
            sleeps: RefCell::new(Schedule::new()),
            more_due: Cell::new(false),
            due: RefCell::default(),
        }
    }

    /// Returns the end of a deadline's slot: that moment or up to [`SLOT_NANOSECONDS`] later.
    pub(super) fn end_of_slot(&self, deadline: Instant) -> Instant {
        let into_slot = deadline.saturating_duration_since(self.origin).subsec_nanos() % SLOT_NANOSECONDS;
        let rest = Duration::from_nanos(u64::from((SLOT_NANOSECONDS - into_slot) % SLOT_NANOSECONDS));
        deadline.checked_add(rest).unwrap_or(deadline)
    }

    /// Returns when the shard must be awake at the latest, or `None` without timers.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadline = self.deadlines.borrow().next();
        let sleep = self.sleeps.borrow().next();
        match (deadline, sleep) {
            (Some(deadline), Some(sleep)) => Some(deadline.min(sleep)),
            (deadline, sleep) => deadline.or(sleep),
        }
    }

    /// Returns the number of live deadlines and sleeps.
    pub(crate) fn len(&self) -> usize {
        self.deadlines.borrow().len() + self.sleeps.borrow().len()
    }

    /// Returns whether more is due than one turn fires, so that the shard must not sleep.
    pub(crate) fn more_due(&self) -> bool {
        self.more_due.get()
    }

    /// Wakes the tasks whose time has come, at most [`EXPIRED_A_TURN_MAX`](super::schedule::EXPIRED_A_TURN_MAX) of each kind.
    pub(crate) fn expire(&self, now: Instant) {
        let mut due = self.due.take();
        let deadlines = self.deadlines.borrow_mut().expire(now, &mut |waker| due.push(waker));
        let sleeps = self.sleeps.borrow_mut().expire(now, &mut |waker| due.push(waker));
        self.more_due.set(deadlines || sleeps);
        for waker in due.drain(..) {
            waker.wake();
        }
        self.due.replace(due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_ends_at_its_deadline_or_less_than_one_slot_later() {
        let origin = crate::clock::now();
        let timers = Timers::new(origin);
        let slot = Duration::from_nanos(SLOT_NANOSECONDS.into());
        let nanosecond = Duration::from_nanos(1);
        for (deadline, end) in [
            (origin, origin),
            (origin + nanosecond, origin + slot),
            (origin + slot - nanosecond, origin + slot),
            (origin + slot, origin + slot),
            (origin + 75 * 32 * slot + nanosecond, origin + (75 * 32 + 1) * slot),
        ] {
            assert_eq!(timers.end_of_slot(deadline), end);
        }
    }

    #[test]
    fn many_expired_deadlines_delay_no_sleep() {
        let now = crate::clock::now();
        let timers = Timers::new(now);
        for _ in 0..100 {
            let _key = timers.deadlines.borrow_mut().insert(now, Waker::noop().clone());
        }
        let _key = timers.sleeps.borrow_mut().insert(now, Waker::noop().clone());
        timers.expire(now);
        assert!(timers.more_due());
        assert_eq!(timers.sleeps.borrow().len(), 0);
    }
}
