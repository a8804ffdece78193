//! Messages between shards, and from any other thread to a shard.
//!
//! Each ordered pair of shards has one bounded queue, and each shard one more for all other threads. So a queue between
//! shards has a single writer. Sending is a push, plus an eventfd write if the receiving shard sleeps: at most one
//! system call per sleep.
//!
//! Guarantees:
//! - **Order**: messages from one sender to one shard arrive in the order sent. Threads that are not shards are ordered each by
//!   itself.
//! - **Full queue**: [`MeshSender::try_send`] returns the message; [`MeshSender::send`] waits for room.
//! - **No deadlock**: a shard takes its messages between two polls of its tasks, whatever those tasks wait for. So a queue
//!   drains as long as its shard's thread runs.
//! - **Ended shard**: sending to it fails, also for senders already waiting, and its unread messages are dropped.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::inbox::Inbox;
use super::links::{Links, MeshSender, Source};
use crate::shard::id::ShardId;
use crate::shard::shard::Shard;

/// Queue capacity, in messages, of the runtime's own meshes. 1024: about one second of a busy publisher, and 64 KiB per
/// pair of shards at 64 bytes each.
pub const QUEUE_MESSAGES_DEFAULT: usize = 1024;

/// Bounded queues between all shards for messages of one type; clones are the same mesh.
pub struct Mesh<M> {
    links: Arc<Links<M>>,
}

impl<M: Send + 'static> Mesh<M> {
    pub(crate) fn new(inboxes: &Arc<[Arc<Inbox>]>, queue_messages_max: usize) -> Self {
        Self {
            links: Arc::new(Links::new(inboxes, queue_messages_max)),
        }
    }

    /// Returns a sender for the calling thread: on a shard it uses that shard's queues, elsewhere the shared ones.
    #[must_use]
    #[track_caller]
    pub fn sender(&self) -> MeshSender<M> {
        let here = Shard::try_current().map(Shard::into_context);
        let own = here.filter(|shard| self.links.connects(shard.inbox()));
        let from = own.map_or(Source::Outside, |shard| Source::Shard(shard.id()));
        MeshSender::new(&self.links, from)
    }

    /// Returns the sender of a shard whose context is not installed yet.
    pub(crate) fn sender_of(&self, shard: ShardId) -> MeshSender<M> {
        MeshSender::new(&self.links, Source::Shard(shard))
    }

    /// Passes every message for the calling shard to `on_message`, between two polls of its tasks.
    ///
    /// Messages that arrived earlier are delivered too. Call it once per mesh and shard: a second receiver would take
    /// some of the first one's messages.
    ///
    /// `on_message` runs in the shard's loop, not in a task. It must be short, and a panic in it ends the process. If it
    /// blocks the shard, the report names the place of this call.
    ///
    /// # Panics
    ///
    /// Panics if the calling thread is not a shard.
    #[track_caller]
    pub fn receive(&self, on_message: impl FnMut(Source, M) + 'static) {
        let shard = Shard::current().into_context();
        let place = Location::caller();
        shard.mailboxes().add(place, &self.links, shard.id(), on_message);
        shard.inbox().notify();
    }
}

impl<M> Clone for Mesh<M> {
    fn clone(&self) -> Self {
        Self {
            links: Arc::clone(&self.links),
        }
    }
}

impl<M> fmt::Debug for Mesh<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Mesh({} shards)", self.links.shards())
    }
}
