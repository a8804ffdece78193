//! TLS on one shard: the policies that new connections get, and the time for their handshakes.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use squall_shards::Shard;

use super::meter::HandshakeMeter;
use super::policies::Policies;

thread_local! {
    /// TLS of this shard, while it serves.
    static LOCAL: RefCell<Weak<ShardTls>> = const { RefCell::new(Weak::new()) };
}

/// What the TLS connections of a shard share.
#[derive(Debug)]
pub(in crate::server) struct ShardTls {
    policies: RefCell<Arc<Policies>>,
    pub(super) meter: HandshakeMeter,
}

impl ShardTls {
    /// Begins TLS on this shard.
    pub(in crate::server) fn begin(policies: Arc<Policies>, shard: Shard) -> Rc<Self> {
        let begun = Rc::new(Self {
            policies: RefCell::new(policies),
            meter: HandshakeMeter::new(shard),
        });
        LOCAL.set(Rc::downgrade(&begun));
        begun
    }

    /// Returns the policies for a new connection.
    pub(super) fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.policies.borrow())
    }

    /// Returns whether a request for `host` may not come over a connection for `name`.
    pub(in crate::server) fn misdirects(&self, name: Option<&str>, host: &str) -> bool {
        self.policies.borrow().misdirect(name, host)
    }

    /// Replaces the policies for new connections of this shard; false if the shard does not serve. Open connections live
    /// on with what they began with.
    pub(super) fn replace_on_this_shard(policies: Arc<Policies>) -> bool {
        let shard = LOCAL.with_borrow(Weak::upgrade);
        shard.is_some_and(|shard| {
            shard.policies.replace(policies);
            true
        })
    }
}
