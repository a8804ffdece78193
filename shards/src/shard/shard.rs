//! A shard as seen by its own code: its number, its time, its stop request.
//!
//! Invariant: a [`Shard`] and everything reached from it stay on the shard's thread. They hold an `Rc`, so the compiler
//! enforces it.

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;
use std::time::Instant;

use super::context::ShardContext;
use super::id::ShardId;
use crate::start::signal::Stop;
use crate::statistics::Statistics;
use crate::task::blocking::BlockingPool;

thread_local! {
    static CURRENT: OnceCell<Rc<ShardContext>> = const { OnceCell::new() };
}

/// A handle to the shard that runs on the current thread.
#[derive(Clone)]
pub struct Shard {
    context: Rc<ShardContext>,
}

impl Shard {
    /// Returns the shard of the calling thread.
    ///
    /// # Panics
    ///
    /// Panics if the calling thread is not a shard; [`Shard::try_current`] does not.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a wrong call site is the caller's bug, as with thread::current in other runtimes"
    )]
    #[track_caller]
    pub fn current() -> Self {
        Self::try_current().expect(
            "could not find the shard of this thread: it is not a shard's; call this in a handler or a task, in a test \
             through TestClient, and on other threads through a Remote such as BoundServer::remote",
        )
    }

    /// Returns the shard of the calling thread, or `None` if the thread is not a shard.
    #[must_use]
    pub fn try_current() -> Option<Self> {
        // Fails while the thread ends.
        let context = CURRENT.try_with(|current| current.get().map(Rc::clone));
        context.ok().flatten().map(|context| Self { context })
    }

    /// Makes the calling thread the shard with this context, for the rest of its life.
    pub(crate) fn install(context: &Rc<ShardContext>) {
        context.tasks().install();
        let installed = CURRENT.with(|current| current.set(Rc::clone(context)));
        debug_assert!(installed.is_ok(), "one thread, one shard");
    }

    pub(crate) fn into_context(self) -> Rc<ShardContext> {
        self.context
    }

    /// Returns the number of this shard.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.context.id()
    }

    /// Returns the number of shards in the process.
    #[must_use]
    pub fn count(&self) -> usize {
        self.context.count()
    }

    /// Returns the time read at the start of this turn: monotonic and at most one turn old, without a system call.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.context.now()
    }

    /// Returns how the shard was asked to stop (by a signal or a [`Stopper`](crate::Stopper)), if it was.
    #[must_use]
    #[inline]
    pub fn stop_requested(&self) -> Option<Stop> {
        self.context.inbox().stop()
    }

    /// Waits until the shard is asked to stop at least as firmly as `at_least`.
    ///
    /// Cancel safety: safe; it may be dropped and called again.
    pub async fn stopping(&self, at_least: Stop) -> Stop {
        let wait = self.context.stop_waiters().join();
        std::future::poll_fn(|cx| match self.stop_requested() {
            Some(stop) if stop >= at_least => Poll::Ready(stop),
            _ => {
                wait.set_waker(cx.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// Sets the names of what this shard's tasks work on, such as routes; a stall report quotes the current one.
    ///
    /// Store the index of a name in the returned number before its work begins. Do so at each poll: every poll of a
    /// task begins without a name. A report then quotes the place that spawned the task. Only the first call sets
    /// names.
    #[must_use]
    pub fn name_work(&self, names: Arc<[String]>) -> Arc<AtomicUsize> {
        self.context.heartbeat().name_work(names)
    }

    /// Returns the pool of threads for blocking work, which all shards share.
    #[must_use]
    pub fn blocking_pool(&self) -> &BlockingPool {
        &self.context.pools().blocking
    }

    /// Returns the pool of threads for long computations, such as password hashing, which all shards share.
    ///
    /// It has half as many threads as CPUs, at least one. They run only while a CPU has no other work, so they take next
    /// to no time from the shards. Its queue holds 64 closures.
    #[must_use]
    pub fn computing_pool(&self) -> &BlockingPool {
        &self.context.pools().computing
    }

    /// Returns the number of live tasks and the counters of the driver.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.context.statistics()
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Shard({} of {})", self.id().index(), self.count())
    }
}
