//! Long computations in pieces, so that other tasks of the shard run in between.

use core::future::poll_fn;
use core::task::Poll;

/// How many bytes are computed on between two yields: 64 KiB, at most a few ms of a compressor's time.
pub(in crate::app) const PIECE_BYTES: usize = 64 * 1024;

/// Yields once to every other runnable task of the shard.
pub(in crate::app) async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|task| {
        if core::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
