//! Limits on how often something may happen, for all shards of a process together.
//!
//! A key, such as a client's address, has one *owner*: the shard that counts it. Other shards ask the owner, and get some
//! permits at once where the limit is large enough (a lease). What the owner has refused, they refuse by themselves
//! until a permit can be there. So a flood costs no messages, and a limit holds for the process.

pub(in crate::app) mod gcra;
pub(in crate::app) mod key_table;
pub(in crate::app) mod limiter;
pub(in crate::app) mod middleware;
pub(in crate::app) mod owner;
