//! What runs a shard's root future, the turn, on its thread: glommio beside the ring, tokio's current-thread runtime beside epoll.
//! The only file that names glommio.
//!
//! glommio must never park, because its sleep would not see our ring's completions, and because its `run` can park although
//! tasks are runnable when its preemption timer fires at the wrong moment. So the preemption timer is set beyond any uptime,
//! nothing is put on its latency ring, and the turn sleeps in our ring, never in glommio.
//!
//! tokio is to park: its sleep is where epoll's events come from.

use std::future::Future;
use std::io;
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};
use tokio::runtime::{EnterGuard, Runtime};
use tokio::task::LocalSet;

use crate::panics::contain;
use crate::task::TaskPanicked;

/// Longer than any uptime, so that glommio's preemption timer never fires (see the head of this file).
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// glommio keeps three rings for its own file I/O; sockets do not use them, so they are as shallow as it allows.
const GLOMMIO_RING_DEPTH: usize = 8;

/// An executor for the calling thread.
pub(crate) enum Executor {
    Glommio(LocalExecutor),
    /// With a `LocalSet`, so that libraries made for tokio can spawn tasks of their own from a handler.
    Tokio(Runtime, LocalSet),
}

impl Executor {
    /// Makes glommio's executor of the calling thread. The caller pins the thread afterwards, so that glommio's helper thread is
    /// not pinned with it.
    ///
    /// # Errors
    ///
    /// glommio's sentence on why it could not start: too little lockable memory, no descriptors. Where it panics instead, as it
    /// does when a ring is refused, the panic's message.
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
            "its executor was refused ({reason}); too few open files or too little locked memory are the usual reasons, \
             raise `ulimit -n` and `ulimit -l`"
        ))
    }

    /// Makes tokio's executor of the calling thread.
    ///
    /// # Errors
    ///
    /// No descriptors are left for its epoll.
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

    /// Runs a future until it is done.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        match self {
            Self::Glommio(executor) => executor.run(future),
            // Without tokio's budget for one poll: this one polls all tasks of the shard, and the turn sees to fairness.
            Self::Tokio(runtime, tasks) => tasks.block_on(runtime, tokio::task::unconstrained(future)),
        }
    }
}
