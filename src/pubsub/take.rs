//! What a take from an outbox returns, and the limits of one.

use super::notice::Notice;
use super::position::{Position, Start};
use super::topic::Topic;
use crate::message::CloseCode;

/// The result of one take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TakeStatus {
    /// How many messages were handed out.
    pub messages: usize,
    /// How many bytes were handed out, counted in the plain form.
    pub bytes: usize,
    /// What follows them in the outbox.
    pub next: OutboxItem,
}

/// What follows the messages that were taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OutboxItem {
    /// Nothing: the subscriber is announced again for the next message.
    #[default]
    Nothing,
    /// More messages: take again when these are sent. The subscriber is not announced for them.
    More,
    /// A notice for the subscriber; then take again.
    Notice(Notice),
    /// A history to fetch, because the subscriber has caught up enough: pass it to
    /// [`Topics::replay`](super::Topics::replay) and take again.
    Resync(Resync),
    /// Close the subscriber with this code; nothing more is queued for it.
    Close(CloseCode),
}

/// A topic a subscriber catches up on from its history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resync {
    /// The topic.
    pub topic: Topic,
    /// Where the subscriber resumes.
    pub start: Start,
}

/// Messages of a topic that did not reach a shard and must come from the topic's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The topic.
    pub topic: Topic,
    /// The last message before them.
    pub after: Position,
    /// How many there are.
    pub messages: u64,
}

/// Limits of one [`Topics::take`](super::Topics::take).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakeLimits {
    /// Most messages.
    pub messages: usize,
    /// Most bytes, counted in the plain form; at least one message is handed out whatever its size.
    pub bytes: usize,
}

/// The marks of a queue at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLimits {
    pub(super) high: usize,
    pub(super) low: usize,
    /// How many more bytes may wait on the shard.
    pub(super) left: usize,
}
