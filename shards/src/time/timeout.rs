//! Waiting for a future, up to a deadline.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use super::sleep::sleep_until;

/// Returns the output of a future, or drops the future and returns `None` if the deadline comes first.
///
/// Cancel safety: that of the inner future.
///
/// # Panics
///
/// Panics if polled on a thread that is not a shard.
pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut deadline = pin!(sleep_until(deadline));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
    })
    .await
}
