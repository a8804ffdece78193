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

/// Runs a scenario with 0, 1, 2… polls, until it says that its future was ready before it was to be dropped. The future must have been dropped
/// while it waited at least once.
pub(crate) fn at_every_poll(mut scenario: impl FnMut(usize) -> bool) {
    for polls in 0..POLLS_MAX {
        if scenario(polls) {
            assert!(polls > 1, "the future never waited, so that dropping it shows nothing");
            return;
        }
    }
    panic!("the future was not ready after {POLLS_MAX} polls");
}

/// As [`at_every_poll`], with a scenario that is itself awaited.
pub(crate) async fn at_every_poll_here(mut scenario: impl AsyncFnMut(usize) -> bool) {
    for polls in 0..POLLS_MAX {
        if scenario(polls).await {
            assert!(polls > 1, "the future never waited, so that dropping it shows nothing");
            return;
        }
    }
    panic!("the future was not ready after {POLLS_MAX} polls");
}
