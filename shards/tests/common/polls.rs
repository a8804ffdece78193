//! Dropping a future at each of its polls: the harness behind the table "What is lost when a future is dropped" in `ARCHITECTURE.md`.
//!
//! A scenario is run again and again, with a future that is dropped before its first poll, after its first, after its second, until it is
//! ready before it would be dropped. After each drop the scenario checks what the table says of it.

use std::future::{Future, poll_fn};
use std::task::Poll;

/// More polls than any future here takes; a scenario that gets there has a future that never ends. 64: the longest takes some ten.
pub(crate) const POLLS_MAX: usize = 64;

/// Polls a future until it is ready, at most `polls` times, and drops it then. Gives its output if it was ready.
pub(crate) async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    dropped_after_telling(polls, future, |_| {}).await
}

/// As [`dropped_after`]; `waits` hears of each poll that did not find the future ready, by its number from 1, before the next poll. What it does
/// may wake the future.
pub(crate) async fn dropped_after_telling<F: Future>(
    polls: usize,
    future: F,
    mut waits: impl FnMut(usize),
) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut polled = 0;
    if polls == 0 {
        return None;
    }
    poll_fn(|cx| {
        let polled_now = future.as_mut().poll(cx);
        polled += 1;
        match polled_now {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                waits(polled);
                if polled == polls {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                }
            }
        }
    })
    .await
}

/// How often a scenario is run again whose future was ready in its first poll, because another thread was quicker than this one. 100: one that
/// never waits is found out in no time.
const QUICKER_MAX: usize = 100;

/// Runs a scenario with 0, 1, 2… polls, until it says that its future was ready before it was to be dropped. The future must have been dropped
/// while it waited at least once.
pub(crate) fn at_every_poll(mut scenario: impl FnMut(usize) -> bool) {
    let mut plan = Plan::default();
    while let Some(polls) = plan.next() {
        plan.is_ready = scenario(polls);
    }
}

/// As [`at_every_poll`], with a scenario that is itself awaited.
pub(crate) async fn at_every_poll_here(mut scenario: impl AsyncFnMut(usize) -> bool) {
    let mut plan = Plan::default();
    while let Some(polls) = plan.next() {
        plan.is_ready = scenario(polls).await;
    }
}

/// After how many polls the future is dropped next.
#[derive(Default)]
struct Plan {
    polls: Option<usize>,
    /// The last scenario's future was ready.
    is_ready: bool,
    quicker: usize,
}

impl Plan {
    /// `None` once the future has been ready after it had been dropped while it waited.
    fn next(&mut self) -> Option<usize> {
        let polls = match self.polls {
            None => 0,
            Some(polls) if !self.is_ready => polls + 1,
            Some(polls) if polls > 1 => return None,
            Some(polls) => {
                self.quicker += 1;
                assert!(
                    self.quicker < QUICKER_MAX,
                    "the future never waited, so that dropping it shows nothing"
                );
                polls
            }
        };
        assert!(polls < POLLS_MAX, "the future was not ready after {POLLS_MAX} polls");
        self.polls = Some(polls);
        Some(polls)
    }
}
