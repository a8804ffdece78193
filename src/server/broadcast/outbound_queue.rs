//! Messages that wait for room in the queue to one shard; [`sending`](super::sending) sends them.
//!
//! Publications wait here in order, not in their publishers' futures: dropping such a future does not cancel the
//! publication. At most [`PUBLICATIONS_WAITING_MAX`](super::sending::PUBLICATIONS_WAITING_MAX) wait for one shard.
//!
//! Every other pending message is built when it is sent. A history response is therefore read at the moment there is
//! room, and messages sent behind it follow it without a hole.
//!
//! That also bounds the queue, which holds:
//!
//! - one entry per topic with a history;
//! - this shard's history requests: at most [`RESYNCS_MAX`](crate::pubsub::RESYNCS_MAX) live ones per subscriber, and
//!   stale ones are dropped before they are as many again;
//! - responses to the other shard, which sends no requests while its own queue is full.

use std::collections::{HashMap, VecDeque};

use futures_channel::oneshot;

use super::shard_message::ShardMessage;
use crate::app::HistoryRequest;
use crate::pubsub::{CountChange, Topic, Unsent};

/// Completes when a publication has been sent to a shard; cancelled if it was rejected or the shard has ended.
pub(super) type SentSignal = oneshot::Receiver<()>;

/// The messages that wait for one shard, in order.
#[derive(Default)]
pub(super) struct OutboundQueue {
    pub(super) messages: VecDeque<QueueEntry>,
    /// How many of `messages` are publications.
    pub(super) publications: usize,
    /// Topics with messages that were not sent. Until the shard knows, it receives no further message of them.
    pub(super) unsent: HashMap<Topic, Unsent>,
    /// Length of `messages` after stale requests were last dropped.
    pub(super) checked: usize,
    pub(super) is_draining: bool,
    /// The shard has ended and receives nothing more.
    pub(super) is_closed: bool,
}

/// An entry of the queue.
pub(super) enum QueueEntry {
    /// Reports which messages of a topic were not sent.
    Unsent(Topic),
    /// Requests a history from that shard.
    HistoryRequest(HistoryRequest),
    /// Responds to a history request of that shard.
    HistoryResponse(HistoryRequest),
    /// Changes of subscriber counts.
    Counts(Vec<CountChange>),
    /// A publication, or a message for its topic's owner, with the signal its publisher may wait for.
    Publication(ShardMessage, oneshot::Sender<()>),
}
