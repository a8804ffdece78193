//! Tasks of a shard: futures that stay on its thread, polled whenever something they wait for has happened.

pub(crate) mod blocking;
mod join;
mod panicked;
mod queue;
mod waker;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::panics::contain;
use crate::shard::shard::Shard;
use blocking::BlockingTask;

pub use join::JoinHandle;
use join::join;
pub use panicked::TaskPanicked;
pub(crate) use queue::Tasks;
pub(crate) use waker::TaskWaker;

/// Runs a future on this shard and gives back a handle to its output. Nothing needs to be `Send`. It is first polled once the
/// caller waits for something. Dropping the handle lets the task go on.
///
/// # Panics
///
/// Called on a thread that is not a shard's.
pub fn spawn_local<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    let (sender, handle) = join();
    spawn_detached(async move {
        // Dropped after the answer: should its drop panic as well, the handle still tells of the first panic.
        let mut future = pin!(future);
        let output = poll_fn(|cx| match contain(|| future.as_mut().poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(text) => Poll::Ready(Err(TaskPanicked::with_text(text))),
        });
        let output = output.await;
        if let Err(panicked) = &output {
            queue::report(Shard::current().id(), panicked);
        }
        sender.answer(output);
    });
    handle
}

/// Runs a future on this shard whose output nobody waits for: the cheapest way to start one.
///
/// # Panics
///
/// Called on a thread that is not a shard's.
pub fn spawn_detached(future: impl Future<Output = ()> + 'static) {
    let shard = Shard::current().into_context();
    shard.tasks().spawn(shard.inbox(), Box::pin(future));
}

/// Goes to the end of the queue: every task of this shard that is runnable now is polled before the caller is again. Long work
/// between two of these is long during which nobody else is served.
///
/// Cancel safety: may be dropped.
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

/// Runs a closure that blocks on a thread beside the shards' cores, and gives back its output.
///
/// Cancel safety: the closure runs to its end whether or not anybody waits.
///
/// # Panics
///
/// Called on a thread that is not a shard's.
pub fn spawn_blocking<T: Send + 'static>(closure: impl FnOnce() -> T + Send + 'static) -> BlockingTask<T> {
    Shard::current().into_context().pool().spawn(closure)
}
