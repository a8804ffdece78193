//! The two pools of threads beside the shards: for work that blocks, and for work that computes for long.

use std::collections::BTreeSet;
use std::time::Duration;

use super::placement::Placement;
use crate::task::blocking::{BlockingLimits, BlockingPool};

/// The most computations that wait. 64 password hashes of 50 ms on one thread take 3 s; further callers get an error.
const COMPUTATIONS_MAX: usize = 64;

/// Both pools; clones are the same pools.
#[derive(Debug, Clone)]
pub(crate) struct Pools {
    pub(crate) blocking: BlockingPool,
    pub(crate) computing: BlockingPool,
}

impl Pools {
    /// Creates both without threads; all of them will avoid the shards' CPUs if some are free.
    pub(crate) fn new(limits: BlockingLimits, placement: &Placement) -> Self {
        let cpus: BTreeSet<_> = placement.shards.iter().chain(&placement.blocking).collect();
        let computing = BlockingLimits {
            threads_max: (cpus.len() / 2).max(1),
            queue_max: COMPUTATIONS_MAX,
            yields_to_others: true,
            ..BlockingLimits::default()
        };
        Self {
            blocking: BlockingPool::new(limits, placement.blocking.clone()),
            computing: BlockingPool::new(computing, placement.blocking.clone()),
        }
    }

    /// Stops both pools and waits at most `patience` for blocking work; returns how many threads still run.
    ///
    /// A computation has no effect outside of the process, so it is not waited for.
    pub(crate) fn shutdown(&self, patience: Duration) -> usize {
        self.computing.shutdown(Duration::ZERO);
        self.blocking.shutdown(patience)
    }
}
