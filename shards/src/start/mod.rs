//! Starts the shards of a process and ends them: settings, preflight, threads, signals.

pub(crate) mod builder;
pub mod doctor;
pub(crate) mod hand_over;
pub(crate) mod launch;
pub mod placement;
pub(crate) mod pools;
pub mod preflight;
pub(crate) mod reload;
pub(crate) mod select_driver;
pub(crate) mod shard_exits;
pub(crate) mod signal;
pub(crate) mod systemd;
