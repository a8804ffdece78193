//! The running application, and the connections to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use squall_shards::ShardId;

use super::wire::Wire;
use crate::app::Peer;
use crate::error::Result;
use crate::server::InProcess;

/// Opens connections to an application that runs in this process.
pub(super) struct Connector {
    pub(super) server: InProcess,
    /// How long a call waits for the application.
    pub(super) timeout: Duration,
    /// The number of connections so far, which selects the shard of the next one.
    connections: AtomicUsize,
}

impl Connector {
    pub(super) fn new(server: InProcess, timeout: Duration) -> Self {
        Self {
            server,
            timeout,
            connections: AtomicUsize::new(0),
        }
    }

    /// Opens a connection to a shard, or to each shard in turn.
    pub(super) fn connect(&self, shard: Option<ShardId>, peer: Peer) -> Result<Wire> {
        let shard = shard.unwrap_or_else(|| {
            let number = self.connections.fetch_add(1, Ordering::Relaxed);
            ShardId::new(number.checked_rem(self.server.shards()).unwrap_or_default())
        });
        Ok(Wire::new(self.server.connect(shard, peer)?, self.timeout))
    }
}
