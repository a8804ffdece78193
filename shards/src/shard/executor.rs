//! Runs a shard's root future, the turn: glommio beside the ring, tokio's current-thread runtime beside epoll.
//!
//! Only this file names glommio. glommio must never park: its sleep would not see our ring's completions. Its `run` can
//! park although tasks are runnable, if its preemption timer fires at the wrong moment. So that timer is set beyond any
//! uptime, its latency ring stays empty, and the turn sleeps in our ring. By contrast, tokio must park: its sleep
//! delivers epoll's events.

use std::future::Future;
use std::io;
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};
use tokio::runtime::{EnterGuard, Runtime};
use tokio::task::LocalSet;

use crate::panics::contain;
use crate::task::TaskPanicked;

/// Longer than any uptime, so that glommio's preemption timer never fires (see above).
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The depth of glommio's three rings for file I/O. 8, the minimum: sockets do not use them.
const GLOMMIO_RING_DEPTH: usize = 8;

/// An executor for the calling thread.
pub(crate) enum Executor {
    Glommio(LocalExecutor),
    /// With a `LocalSet`, so that libraries for tokio can spawn local tasks from a handler.
    Tokio(Runtime, LocalSet),
}

impl Executor {
    /// Creates glommio's executor for the calling thread. The caller pins the thread afterwards, so that glommio's
    /// helper thread is not pinned with it.
    ///
    /// # Errors
    ///
    /// glommio could not start, for lack of lockable memory or descriptors. Where it panics instead, as when a ring is
    /// refused, the error is the panic's message.
    pub(crate) fn beside_ring(name: &str) -> Result<Self, String> {
        let builder = LocalExecutorBuilder::new(Placement::Unbound)
            .name(name)
            .io_memory(0)
            .ring_depth(GLOMMIO_RING_DEPTH)
            .preempt_timer(NEVER)
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1));
        let reason = match contain(|| builder.make()) {
            Ok(Ok(executor)) => return Ok(Self::Glommio(executor)),
            Ok(Err(error)) => error.to_string(),
            Err(text) => TaskPanicked::with_text(text).to_string(),
        };
        Err(format!(
            "could not create its executor: {reason}; usually open files or locked memory are too few: \
             raise `ulimit -n` and `ulimit -l`"
        ))
    }

    /// Creates tokio's executor for the calling thread.
    ///
    /// # Errors
    ///
    /// The process is out of descriptors.
    pub(crate) fn beside_epoll() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        Ok(Self::Tokio(runtime, LocalSet::new()))
    }

    /// Lets sockets be registered with the executor before it runs.
    pub(crate) fn enter(&self) -> Option<EnterGuard<'_>> {
        match self {
            Self::Glommio(_) => None,
            Self::Tokio(runtime, _) => Some(runtime.enter()),
        }
    }

    /// Runs a future to completion.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        match self {
            Self::Glommio(executor) => executor.run(future),
            // Outside tokio's budget per poll: this one future polls all tasks of the shard, and the turn ensures
            // fairness.
            Self::Tokio(runtime, tasks) => tasks.block_on(runtime, tokio::task::unconstrained(future)),
        }
    }
}
