//! Drops a future at each of its polls: the harness of the table "What is lost when a future is dropped" in
//! `ARCHITECTURE.md`.
//!
//! A scenario runs repeatedly, with a future dropped before its first poll, after its first, and so on. It ends when
//! the future is ready before its drop. After each drop the scenario checks the table's claim.

use std::future::{Future, poll_fn};
use std::task::Poll;

/// More polls than any future here takes. 64: the longest takes some ten, and more means a future that never ends.
pub(crate) const POLLS_MAX: usize = 64;

/// Polls a future until it is ready, at most `polls` times, then drops it; returns its output if it was ready.
pub(crate) async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    dropped_after_telling(polls, future, |_| {}).await
}

/// Does what [`dropped_after`] does; `waits` is called after each pending poll, with its number from 1, and may wake
/// the future.
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

/// How often a scenario is repeated whose future was ready in its first poll, because another thread was quicker. 100:
/// a future that never waits is detected quickly.
const QUICKER_MAX: usize = 100;

/// Runs a scenario with 0, 1, 2… polls, until it returns that its future was ready before the drop. The future must
/// have been dropped while waiting at least once.
pub(crate) fn at_every_poll(mut scenario: impl FnMut(usize) -> bool) {
    let mut plan = Plan::default();
    while let Some(polls) = plan.next() {
        plan.is_ready = scenario(polls);
    }
}

/// Does what [`at_every_poll`] does, with an async scenario.
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
    /// Whether the last scenario's future was ready.
    is_ready: bool,
    quicker: usize,
}

impl Plan {
    /// Returns the next number of polls, or `None` once the future was ready after it had been dropped while waiting.
    fn next(&mut self) -> Option<usize> {
        let polls = match self.polls {
            None => 0,
            Some(polls) if !self.is_ready => polls + 1,
            Some(polls) if polls > 1 => return None,
            Some(polls) => {
                self.quicker += 1;
                assert!(
                    self.quicker < QUICKER_MAX,
                    "the future never waited, so dropping it shows nothing"
                );
                polls
            }
        };
        assert!(polls < POLLS_MAX, "the future was not ready after {POLLS_MAX} polls");
        self.polls = Some(polls);
        Some(polls)
    }
}
