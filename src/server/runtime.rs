//! The clock, the tasks, the stop and the temporary files of a shard, for the application's futures.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use squall_shards::{Shard, Stop, sleep, spawn_detached};

use super::temporary_file;
use crate::app::{Runtime, TemporaryFile};

/// The runtime of one shard.
pub(super) struct ShardRuntime {
    pub(super) shard: Shard,
}

impl Runtime for ShardRuntime {
    fn now(&self) -> Instant {
        self.shard.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(sleep(duration))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        spawn_detached(future);
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
