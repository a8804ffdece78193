//! glommio, and all that is left to it: a task queue polled in turn on one thread. The only file that names it.
//!
//! glommio must never park, because its sleep would not see our ring's completions, and because its `run` can park although
//! tasks are runnable when its preemption timer fires at the wrong moment. So the preemption timer is set beyond any uptime,
//! nothing is put on its latency ring, and the driver's future is always runnable: it yields, it never waits.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement, TaskQueueHandle};

use crate::task::TaskPanicked;

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
    /// glommio's sentence on why it could not start: too little lockable memory, no descriptors. Where it panics instead, as it
    /// does when a ring is refused, the panic's message.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let builder = LocalExecutorBuilder::new(Placement::Unbound)
            .name(name)
            .io_memory(0)
            .ring_depth(GLOMMIO_RING_DEPTH)
            .preempt_timer(NEVER)
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1));
        let reason = match catch_unwind(AssertUnwindSafe(|| builder.make())) {
            Ok(Ok(inner)) => return Ok(Self { inner }),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => TaskPanicked::from_payload(&*panic).to_string(),
        };
        Err(format!(
            "its executor was refused ({reason}); too few open files or too little locked memory are the usual reasons, \
             raise `ulimit -n` and `ulimit -l`"
        ))
    }

    /// Runs a future, and every task it spawns, until the future is done.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.inner.run(future)
    }
}

/// Adds a task to the end of the calling thread's queue.
///
/// Not with glommio's `spawn_local`, which polls the task inside the call: a chain of tasks that spawn one another would use up
/// the stack, and a task would find whatever its spawner has borrowed.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    let spawned = glommio::spawn_local_into(future, TaskQueueHandle::default());
    debug_assert!(spawned.is_ok(), "an executor has its first queue as long as it runs");
    if let Ok(task) = spawned {
        drop(task.detach());
    }
}
