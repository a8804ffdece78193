//! The end of a graceful stop: the wait for the connections that are open.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use squall_shards::{Closing, Shard, Stop, sleep};

/// Waits until every connection has ended, the timeout has passed, or a second signal stops the shard at once.
pub(super) async fn wait_for_drain(shard: &Shard, drained: Closing, timeout: Duration) {
    let mut drained = pin!(drained);
    let mut timeout = pin!(sleep(timeout));
    let mut stop_now = pin!(shard.stopping(Stop::Now));
    poll_fn(|cx| {
        let is_over = drained.as_mut().poll(cx).is_ready()
            || timeout.as_mut().poll(cx).is_ready()
            || stop_now.as_mut().poll(cx).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
