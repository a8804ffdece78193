//! Messages between shards, and what wakes a shard that sleeps.

pub(crate) mod inbox;
pub(crate) mod invoke;
pub(crate) mod links;
pub(crate) mod mesh;
pub(crate) mod wait_queue;
pub(crate) mod wake_flag;
