//! A gate counts what is in flight, lets nothing more in once it closes, and tells when the last one has left.
//!
//! Why: a graceful stop is "stop taking work, wait for the work taken", for connections, requests and background tasks
//! alike. The word and the idea are Seastar's.
//!
//! Invariant: a gate lives on one shard. Waiting costs nothing until the last guard is dropped, which wakes whoever
//! waits; nobody polls.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// Counts guards and can be closed; its clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    entered: Cell<usize>,
    closed: Cell<bool>,
    /// One waker for each [`Closing`] that has been polled and is alive.
    waiting: RefCell<Slab<Waker>>,
}

impl Gate {
    /// Creates an open gate that nothing has entered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters; what is in flight holds the guard and leaves by dropping it.
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

    /// Closes the gate at once, and returns a future that is done when the last guard has been dropped.
    ///
    /// May be called more than once: each future waits for the same moment.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets only the wait; the gate stays closed, and another `close` waits again.
    #[must_use = "the gate is closed, but only the future waits for what is inside"]
    pub fn close(&self) -> Closing {
        self.state.closed.set(true);
        Closing {
            state: Rc::clone(&self.state),
            waiting: None,
        }
    }
}

/// The right to be inside a [`Gate`]; dropping it leaves.
#[derive(Debug)]
pub struct GateGuard {
    state: Rc<State>,
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        self.state.entered.set(self.state.entered.get() - 1);
        if self.state.entered.get() == 0 && self.state.closed.get() {
            // A waker may drop a task, and a task may own a guard or a wait on this very gate, so none is woken while
            // the list is borrowed. The futures keep their place in it until they are polled or dropped.
            let wakers: Vec<Waker> = self
                .state
                .waiting
                .borrow()
                .iter()
                .map(|(_, waker)| waker.clone())
                .collect();
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

/// The future of [`Gate::close`].
#[derive(Debug)]
pub struct Closing {
    state: Rc<State>,
    waiting: Option<usize>,
}

impl Closing {
    fn stop_waiting(&mut self) {
        if let Some(place) = self.waiting.take() {
            let waker = self.state.waiting.borrow_mut().remove(place);
            drop(waker);
        }
    }
}

impl Future for Closing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.stop_waiting();
        if self.state.entered.get() == 0 {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        let place = self.state.waiting.borrow_mut().insert(waker);
        self.waiting = Some(place);
        Poll::Pending
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

/// The error of entering a gate that has been closed.
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
    fn a_gate_that_empties_while_open_wakes_nobody_and_can_be_entered_again() {
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
        assert!(gate.state.waiting.borrow().is_empty());
    }
}
