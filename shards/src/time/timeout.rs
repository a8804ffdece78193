//! Waiting for something, but not for ever.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use super::sleep_until;

/// The output of a future, or `None` if the deadline comes first; the future is dropped then.
///
/// Cancel safety: that of the future.
///
/// # Panics
///
/// Polled on a thread that is not a shard's.
pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut deadline = pin!(sleep_until(deadline));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
    })
    .await
}
