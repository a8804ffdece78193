//! Every bound on what subscribers can cost a shard, with its default and the reason for it.

use crate::settings::{Bytes, BytesFrom, PositiveCount, settings};

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

settings! {
    /// Bounds on one shard's subscribers, their subscriptions and their waiting messages.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Limits, set by pubsub_setters through pubsub {
        /// Most subscribers for each shard; further ones cannot subscribe.
        ///
        /// 262,144: more than a shard's socket table holds.
        [PositiveCount] max_subscribers: u32 = 1 << 18,
        /// Most topics and patterns for each subscriber; further subscriptions fail.
        ///
        /// 128: Centrifugo's limit, and a search through them stays within a few cache lines. A client that follows more
        /// topics uses a wildcard.
        [PositiveCount] max_subscriptions: usize = 128,
        /// Most topics and patterns with subscribers for each shard; subscriptions to further ones fail.
        ///
        /// 262,144: at about 250 bytes each, 64 MiB.
        [PositiveCount] max_topics: usize = 1 << 18,
        /// Most bytes queued for each subscriber; beyond them its topics' slow-consumer policies apply.
        ///
        /// A message counts [`MESSAGE_OVERHEAD_BYTES`](crate::pubsub::MESSAGE_OVERHEAD_BYTES) more than it has. An empty
        /// queue accepts one larger message. 256 KiB: four times uWebSockets' limit, a quarter of Centrifugo's.
        [Bytes] max_queue_bytes: usize = 256 * 1024,
        /// Bytes to which a slow-consumer policy shortens a queue; at this size the subscriber counts as caught up.
        ///
        /// 64 KiB: far enough below the high mark that a subscriber misses one long stretch instead of every other message.
        /// A value above `max_queue_bytes` counts as `max_queue_bytes`.
        [Bytes] low_queue_bytes: usize = 64 * 1024,
        /// Most bytes queued for all subscribers of a shard; beyond them the shard queues no message.
        ///
        /// From three quarters of it on, each queue is limited to `low_queue_bytes`. 256 MiB: a thousand full queues. At least
        /// 16 KiB, one batch of messages.
        [BytesFrom<{ BATCH_BYTES_MAX as u64 }>] max_shard_queue_bytes: usize = 256 * 1024 * 1024,
    }
}
