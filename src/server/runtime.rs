//! The clock and the stop of a shard, for the application's futures.

use std::pin::Pin;
use std::time::{Duration, Instant};

use squall_shards::{Shard, Stop, sleep, spawn_detached};

use crate::app::Runtime;

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
}
