//! Watches the load of each shard and directs new connections away from a stalled one.

pub(crate) mod bpf;
pub(crate) mod imbalance;
pub(crate) mod reuseport;
pub(crate) mod watchdog;
