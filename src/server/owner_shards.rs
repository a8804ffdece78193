//! The owners of keys that rate limits count: a request for permits runs as a closure on the owner.

use std::hash::RandomState;
use std::pin::Pin;

use squall_shards::{Shard, ShardId, invoke_on};

use super::state;
use crate::app::{Grant, OwnerShards, PermitRequest};

/// The shards as the limits of one shard see them.
pub(super) struct ShardOwners {
    shard: Shard,
    hashers: [RandomState; 2],
}

impl ShardOwners {
    pub(super) fn new(shard: Shard, hashers: [RandomState; 2]) -> Self {
        Self { shard, hashers }
    }
}

impl OwnerShards for ShardOwners {
    fn here(&self) -> usize {
        self.shard.id().index()
    }

    fn count(&self) -> usize {
        self.shard.count()
    }

    fn hashers(&self) -> &[RandomState; 2] {
        &self.hashers
    }

    fn ask(&self, owner: usize, request: PermitRequest) -> Pin<Box<dyn Future<Output = Option<Grant>>>> {
        Box::pin(async move {
            let grant = move || async move { state::local().ok()?.grant_permits(&request) };
            invoke_on(ShardId::new(owner), grant).await.ok().flatten()
        })
    }
}
