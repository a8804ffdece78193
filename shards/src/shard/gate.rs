//! A gate counts what is in flight; once closed it lets nothing in and reports when the last guard has left.
//!
//! Why: a graceful stop is "take no new work, wait for the work taken", for connections, requests and background tasks
//! alike. The term and the idea are Seastar's.
//!
//! Invariant: a gate lives on one shard. Waiting costs nothing until the last guard is dropped, which wakes the waiting
//! tasks.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::wait_list::{Wait, WaitList};

/// Counts guards and can be closed; clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    entered: Cell<usize>,
    closed: Cell<bool>,
    /// One entry for each [`Closing`].
    waiting: Rc<WaitList>,
}

impl Gate {
    /// Creates an open gate with a count of 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters the gate and returns a guard, which leaves the gate when dropped.
    ///
    /// # Errors
    ///
    /// [`GateClosed`] once [`close`](Self::close) has been called.
    pub fn enter(&self) -> Result<GateGuard, GateClosed> {
        if self.state.closed.get() {
            return Err(GateClosed);
        }
        self.state.entered.set(self.state.entered.get() + 1);
        Ok(GateGuard {
            state: Rc::clone(&self.state),
        })
    }

    /// Returns the number of guards alive.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state.entered.get()
    }

    /// Returns whether the gate has been closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.closed.get()
    }

    /// Closes the gate and returns a future that completes when the last guard is dropped.
    ///
    /// It may be called again: each future waits for the same moment.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends only the wait. The gate stays closed; another `close` waits again.
    #[must_use = "the gate is closed, but only the future waits for what is inside"]
    pub fn close(&self) -> Closing {
        self.state.closed.set(true);
        Closing {
            state: Rc::clone(&self.state),
            wait: self.state.waiting.join(),
        }
    }
}

/// The right to be inside a [`Gate`]; dropping it leaves the gate.
#[derive(Debug)]
pub struct GateGuard {
    state: Rc<State>,
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        self.state.entered.set(self.state.entered.get() - 1);
        if self.state.entered.get() == 0 && self.state.closed.get() {
            self.state.waiting.wake_all();
        }
    }
}

/// The future returned by [`Gate::close`].
#[derive(Debug)]
pub struct Closing {
    state: Rc<State>,
    wait: Wait,
}

impl Future for Closing {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.state.entered.get() == 0 {
            return Poll::Ready(());
        }
        self.wait.set_waker(context.waker());
        Poll::Pending
    }
}

/// The gate has been closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateClosed;

impl fmt::Display for GateClosed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the gate is closed: this shard is stopping")
    }
}

impl Error for GateClosed {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use super::*;
    use crate::testing::Woken;

    fn poll(closing: &mut Closing, count: &Arc<Woken>) -> Poll<()> {
        Pin::new(closing).poll(&mut Context::from_waker(&Waker::from(Arc::clone(count))))
    }

    #[test]
    fn an_empty_gate_closes_at_once_and_stays_closed() {
        let gate = Gate::new();
        let mut closing = gate.close();
        assert_eq!(poll(&mut closing, &Arc::default()), Poll::Ready(()));
        assert!(gate.is_closed());
        assert_eq!(gate.enter().unwrap_err(), GateClosed);
        assert_eq!(gate.count(), 0);
    }

    #[test]
    fn closing_waits_for_the_last_guard_and_is_woken_only_by_it() {
        let gate = Gate::new();
        let clone = gate.clone();
        let (first, second) = (gate.enter().unwrap(), clone.enter().unwrap());
        assert_eq!(gate.count(), 2);
        let (mut closing, woken) = (gate.close(), Arc::default());
        assert_eq!(poll(&mut closing, &woken), Poll::Pending);
        assert!(gate.enter().is_err());
        drop(first);
        assert_eq!(woken.times(), 0);
        drop(second);
        assert_eq!(woken.times(), 1);
        assert_eq!(poll(&mut closing, &woken), Poll::Ready(()));
    }

    #[test]
    fn a_gate_that_empties_while_open_wakes_no_task_and_can_be_entered_again() {
        let gate = Gate::new();
        drop(gate.enter().unwrap());
        assert_eq!(gate.count(), 0);
        assert!(gate.enter().is_ok());
    }

    #[test]
    fn every_wait_is_woken_with_its_latest_waker_and_a_dropped_wait_is_not() {
        let gate = Gate::new();
        let guard = gate.enter().unwrap();
        let [early, late, other, dropped]: [Arc<Woken>; 4] = Default::default();
        let (mut one, mut two, mut three) = (gate.close(), gate.close(), gate.close());
        assert_eq!(poll(&mut one, &early), Poll::Pending);
        assert_eq!(poll(&mut one, &late), Poll::Pending);
        assert_eq!(poll(&mut two, &other), Poll::Pending);
        assert_eq!(poll(&mut three, &dropped), Poll::Pending);
        drop(three);
        drop(guard);
        assert_eq!([early, late, other, dropped].map(|count| count.times()), [0, 1, 1, 0]);
        drop((one, two));
        assert!(gate.state.waiting.wakers.borrow().is_empty());
    }
}
