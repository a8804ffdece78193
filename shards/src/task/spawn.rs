//! Starts work from a task: another task of the same shard, or a closure that blocks.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::Poll;

use super::blocking::BlockingTask;
use super::join::{JoinHandle, join};
use super::panicked::TaskPanicked;
use crate::balance::watchdog::Place;
use crate::panics::contain;
use crate::shard::shard::Shard;

/// Runs a future on this shard and returns a handle to its output.
///
/// The future need not be `Send`. It is first polled after the caller's own poll returns. Dropping the handle does not
/// stop it. If it blocks its shard, the report names the place of this call.
///
/// # Panics
///
/// Panics if the calling thread is not a shard.
#[track_caller]
pub fn spawn_local<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    let (sender, handle) = join();
    spawn_detached(async move {
        // Dropped after the output is sent: if its drop panics too, the handle still reports the first panic.
        let future = pin!(future);
        let output = caught(future).await;
        if let Err(panicked) = &output {
            panicked.report(Shard::current().id());
        }
        sender.answer(output);
    });
    handle
}

/// Awaits a future; a panic of it is the error.
pub(crate) fn caught<F: Future>(mut future: Pin<&mut F>) -> impl Future<Output = Result<F::Output, TaskPanicked>> {
    poll_fn(move |cx| match contain(|| future.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(text) => Poll::Ready(Err(TaskPanicked::with_text(text))),
    })
}

/// Runs a future on this shard without a handle to its output, the cheapest way to start a task.
///
/// If it blocks its shard, the report names the place of this call.
///
/// # Panics
///
/// Panics if the calling thread is not a shard.
#[track_caller]
pub fn spawn_detached(future: impl Future<Output = ()> + 'static) {
    spawn_from(Location::caller(), future);
}

/// Runs a future on this shard for a caller at another place.
#[track_caller]
pub(crate) fn spawn_from(place: Place, future: impl Future<Output = ()> + 'static) {
    let shard = Shard::current().into_context();
    shard.tasks().spawn(place, Box::pin(future));
}

/// Yields to every other runnable task of this shard.
///
/// Call it in long computations: between two calls the shard serves no other connection.
///
/// Cancel safety: safe.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a blocking closure on the pool for blocking work and returns a future of its output.
///
/// Cancel safety: the closure runs to its end even if the future is dropped.
///
/// # Panics
///
/// Panics if the calling thread is not a shard.
#[track_caller]
pub fn spawn_blocking<T: Send + 'static>(closure: impl FnOnce() -> T + Send + 'static) -> BlockingTask<T> {
    Shard::current().into_context().pools().blocking.spawn(closure)
}
