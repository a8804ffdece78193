//! Every bound on what subscribers can cost a shard, with its default and the reason for it.

/// Weight of a waiting message in addition to its bytes: its queue entry, its share of the batch, and the allocator's
/// overhead.
///
/// It bounds queues of empty messages too.
pub const MESSAGE_OVERHEAD_BYTES: usize = 64;

/// Most messages in one batch, which waits as one queue entry. 256: more than a turn usually publishes to one topic.
pub const BATCH_MESSAGES_MAX: usize = 256;

/// Most bytes in one batch; a single message may have more. 16 KiB: a queue that holds only one message of a batch
/// keeps at most this much alive.
pub const BATCH_BYTES_MAX: usize = 16 * 1024;

/// Most messages per [`take`](super::Topics::take). 1024: the kernel's `UIO_MAXIOV`, so that one vectored send carries
/// them all.
pub const TAKE_MESSAGES_MAX: usize = 1024;

/// Most topics one subscriber catches up on at once; messages of further topics are refused with a notice. 64: half of
/// the subscription limit.
pub const RESYNCS_MAX: usize = 64;

/// Bounds on one shard's subscribers, their subscriptions and their waiting messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most subscribers. 262,144: more than a shard's socket table holds.
    pub subscribers_max: u32,
    /// Most subscriptions of one subscriber; further ones are rejected.
    ///
    /// 128: Centrifugo's limit, and a search through them stays within a few cache lines. A client that follows more
    /// topics uses a wildcard.
    pub subscriptions_max: usize,
    /// Most topics and patterns with subscribers. 262,144: at about 250 bytes each, 64 MiB.
    pub topics_max: usize,
    /// High mark of one subscriber's queue in bytes, with [`MESSAGE_OVERHEAD_BYTES`] per message; at it the topics'
    /// policies act.
    ///
    /// An empty queue accepts one larger message. 256 KiB: four times uWebSockets' limit, a quarter of Centrifugo's.
    pub queue_bytes_high: usize,
    /// Low mark of the queue in bytes: policies shorten the queue to it, and a slow subscriber has caught up below it.
    /// 64 KiB: far enough below the high mark that a subscriber misses one long stretch instead of every other message.
    pub queue_bytes_low: usize,
    /// Most bytes that wait for all subscribers of the shard, counted the same way; at it, messages are refused.
    ///
    /// From three quarters of it on, each queue is limited to `queue_bytes_low`. 256 MiB: a thousand full queues.
    pub shard_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            subscribers_max: 1 << 18,
            subscriptions_max: 128,
            topics_max: 1 << 18,
            queue_bytes_high: 256 * 1024,
            queue_bytes_low: 64 * 1024,
            shard_bytes_max: 256 * 1024 * 1024,
        }
    }
}
