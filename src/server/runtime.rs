//! The clock, the tasks, the stop, the random numbers and the temporary files of a shard, for the application's futures.

use std::future::ready;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use squall_shards::{BlockingError, Shard, ShardId, Stop, clock, sleep, spawn_detached};

use super::{state, temporary_file};
use crate::app::{Runtime, ShardWork, TemporaryFile};
use crate::error::{Error, HttpError, Result};
use crate::memory::{self, OutOfMemory, Reservation};
use crate::message::{HeaderValue, header};

/// The runtime of one shard.
pub(super) struct ShardRuntime {
    pub(super) shard: Shard,
}

impl Runtime for ShardRuntime {
    fn now(&self) -> Instant {
        self.shard.now()
    }

    fn wall(&self) -> SystemTime {
        clock::wall()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::from)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(sleep(duration))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        spawn_detached(future);
    }

    fn shard(&self) -> usize {
        self.shard.id().index()
    }

    fn shard_count(&self) -> usize {
        self.shard.count()
    }

    fn on_shard(&self, shard: usize, work: ShardWork) -> Pin<Box<dyn Future<Output = Result>>> {
        Box::pin(state::work_on(ShardId::new(shard), work))
    }

    fn compute(&self, memory_bytes: usize, work: Box<dyn FnOnce() + Send>) -> Pin<Box<dyn Future<Output = Result>>> {
        let pool = self.shard.computing_pool();
        // As many computations run at once as the pool has threads.
        if !memory::has_headroom(memory_bytes.saturating_mul(pool.threads_max())) {
            return Box::pin(ready(Err(OutOfMemory.into())));
        }
        let computed = pool.spawn(move || {
            let _counted = Reservation::of(memory_bytes);
            work();
        });
        Box::pin(async move { computed.await.map_err(refusal) })
    }

    fn stopping(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let shard = self.shard.clone();
        Box::pin(async move {
            shard.stopping(Stop::Graceful).await;
        })
    }

    fn temporary_file(&self) -> Pin<Box<dyn Future<Output = io::Result<Rc<dyn TemporaryFile>>>>> {
        temporary_file::create(self.shard.blocking_pool())
    }
}

/// The answer to a computation that did not run to its end.
fn refusal(error: BlockingError) -> Error {
    match error {
        BlockingError::PoolFull { .. } => HttpError::new(503)
            .with_message("the server is busy; try again later")
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            .into(),
        other => other.into(),
    }
}
