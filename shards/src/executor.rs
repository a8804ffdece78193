//! glommio, and all that is left to it: a task queue polled in turn on one thread. The only file that names it.
//!
//! glommio must never park, because its sleep would not see our ring's completions, and because its `run` can park although
//! tasks are runnable when its preemption timer fires at the wrong moment. So the preemption timer is set beyond any uptime,
//! nothing is put on its latency ring, and the driver's future is always runnable: it yields, it never waits.

use std::future::Future;
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};

/// Longer than any uptime, so that glommio's preemption timer never fires (see the head of this file).
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// glommio keeps three rings for its own file I/O; sockets do not use them, so they are as shallow as it allows.
const GLOMMIO_RING_DEPTH: usize = 8;

/// An executor for the calling thread.
pub(crate) struct Executor {
    inner: LocalExecutor,
}

impl Executor {
    /// Makes the executor of the calling thread. The caller pins the thread afterwards, so that glommio's helper thread is not
    /// pinned with it.
    ///
    /// # Errors
    ///
    /// glommio's sentence on why it could not start: too little lockable memory, no descriptors.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        LocalExecutorBuilder::new(Placement::Unbound)
            .name(name)
            .io_memory(0)
            .ring_depth(GLOMMIO_RING_DEPTH)
            .preempt_timer(NEVER)
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
            .make()
            .map(|inner| Self { inner })
            .map_err(|error| error.to_string())
    }

    /// Runs a future, and every task it spawns, until the future is done.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.inner.run(future)
    }
}

/// Adds a task to the calling thread's queue.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    glommio::spawn_local(future).detach();
}
