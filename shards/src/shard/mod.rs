//! One shard: its identity, its core, what it owns, and the turn it spends its life in.

pub(crate) mod context;
pub(crate) mod core;
pub(crate) mod executor;
pub(crate) mod gate;
pub(crate) mod id;
#[expect(
    clippy::module_inception,
    reason = "the file of `Shard` in the folder of all that belongs to a shard"
)]
pub(crate) mod shard;
pub(crate) mod turn;
pub(crate) mod wait_list;
