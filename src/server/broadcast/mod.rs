//! Topics across shards: a publication crosses to each other shard as one message.
//!
//! Each shard has the topics of its own subscribers ([`ShardTopics`]). Here is their way to the other shards, and the
//! way of threads outside the shards to them. A topic with a history has an owner: the shard that numbers its messages,
//! retains them and forwards them. Other shards request missed messages from the owner.
//!
//! # When a queue between two shards is full
//!
//! Queues between shards are bounded. A shard drains its own queues between two polls of its tasks, so shards cannot
//! deadlock on full queues.
//!
//! - A message of a topic without a history waits for room in the [`outbound_queue`], and so does its publisher.
//! - An owner never waits. It records the first message it could not send and reports it once there is room; the
//!   receiving shard's subscribers then read the history. The record is one position per topic.

mod link;
mod outbound_queue;
mod outside_publish;
mod publisher;
mod receive;
mod sending;
mod shard_message;
mod subscription;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use squall_shards::{Mesh, Shard, spawn_detached};

use super::config::ServerConfig;
use super::runtime::ShardRuntime;
use crate::app::ShardTopics;
use link::ShardLink;
pub use outside_publish::{OutsidePublish, OutsidePublishConfirmed};
pub use publisher::Publisher;
pub(super) use shard_message::ShardMessage;
pub use subscription::{Subscription, TopicEvent};

/// Capacity of the queue between two shards, in messages. 256: at 40 bytes each, 10 KiB per pair of shards.
pub(super) const BROADCAST_QUEUE_MESSAGES_MAX: usize = 256;

/// Creates the topics of the calling shard, and starts to receive messages from other shards and to notify subscribers.
pub(super) fn start(shard: &Shard, mesh: &Mesh<ShardMessage>, config: &ServerConfig) -> Rc<ShardTopics> {
    let runtime = Rc::new(ShardRuntime { shard: shard.clone() });
    let topics = ShardLink::make_topics(shard, mesh, config, runtime);
    let notified = Rc::downgrade(&topics);
    spawn_detached(poll_fn(move |task| match notified.upgrade() {
        Some(topics) => topics.poll_notifier(task),
        None => Poll::Ready(()),
    }));
    let receiver = Rc::downgrade(&topics);
    mesh.receive(move |from, message| {
        if let Some(topics) = receiver.upgrade() {
            receive::receive(&topics, from, message);
        }
    });
    topics
}
