//! The way from one shard's limits to the homes of their keys.

use core::fmt;
use std::hash::RandomState;

use super::limiter::{Grant, PermitRequest};
use crate::app::boxed::LocalBoxFuture;

/// The shards of the process as the limits of one shard see them; the server implements it.
pub trait HomeShards {
    /// Returns the index of this shard.
    fn here(&self) -> usize;

    /// Returns the number of shards, at least one.
    fn count(&self) -> usize;

    /// Returns two hashers of keys, which are the same on every shard and differ from process to process.
    ///
    /// So a client cannot choose an address or a name that counts together with another.
    fn hashers(&self) -> &[RandomState; 2];

    /// Asks the home of a key for permits; `None` if that shard cannot be reached.
    fn ask(&self, home: usize, request: PermitRequest) -> LocalBoxFuture<'static, Option<Grant>>;
}

impl fmt::Debug for dyn HomeShards {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HomeShards")
    }
}
