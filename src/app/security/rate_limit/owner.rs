//! The way from one shard's limits to the owners of their keys.

use core::fmt;
use std::hash::RandomState;

use super::limiter::{Grant, PermitRequest};
use crate::app::boxed::LocalBoxFuture;

/// The shards of the process as the limits of one shard see them; the server implements it.
pub trait OwnerShards {
    /// Returns the index of this shard.
    fn here(&self) -> usize;

    /// Returns the number of shards, at least one.
    fn count(&self) -> usize;

    /// Returns two hashers of keys, which are the same on every shard and differ from process to process.
    ///
    /// So a client cannot choose an address or a name that counts together with another.
    fn hashers(&self) -> &[RandomState; 2];

    /// Asks the owner of a key for permits; `None` if that shard cannot be reached.
    fn ask(&self, owner: usize, request: PermitRequest) -> LocalBoxFuture<'static, Option<Grant>>;
}

impl fmt::Debug for dyn OwnerShards {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OwnerShards")
    }
}
