//! Every number that bounds what subscribers can cost a shard, with its default and the reason for it.

/// What a waiting message weighs beside its bytes: its place in the queue, its share of the record that all its subscribers share, and
/// what the allocator adds. It is charged so that a queue of empty messages is bounded too.
pub const MESSAGE_OVERHEAD_BYTES: usize = 64;

/// Most messages that wait together as one entry of a queue. 256: more than a turn publishes to one topic as a rule.
pub const BATCH_MESSAGES_MAX: usize = 256;

/// Most bytes of them; one alone may have more. 16 KiB: a queue that has let go of all but one of them keeps no more than this alive.
pub const BATCH_BYTES_MAX: usize = 16 * 1024;

/// Most messages to [`take`](super::Topics::take) at once: the kernel's `UIO_MAXIOV`, so that all of them fit one vectored send.
pub const TAKE_MESSAGES_MAX: usize = 1024;

/// Most topics a subscriber may be catching up on at once; for more of them it is refused messages, and told so. 64: half of what it may
/// subscribe to by name.
pub const RESYNCS_MAX: usize = 64;

/// Bounds on one shard's subscribers, their subscriptions, and what waits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most subscribers. 262,144: above what one shard's table of sockets holds.
    pub subscribers_max: u32,
    /// Most subscriptions of one subscriber; beyond it subscribing is refused. 128: Centrifugo's, and a search through them stays within
    /// a few cache lines. A client that follows more wants a wildcard.
    pub subscriptions_max: usize,
    /// Most topics and patterns somebody is subscribed to. 262,144: at some 250 bytes each, 64 MiB.
    pub topics_max: usize,
    /// How much may wait for one subscriber, in bytes with [`MESSAGE_OVERHEAD_BYTES`] for each message, before its topics' policies act.
    /// One message larger than this is let into an empty queue. 256 KiB: four times what uWebSockets allows, a quarter of Centrifugo.
    pub queue_bytes_high: usize,
    /// What a policy shortens the queue to, and what must be reached before a subscriber counts as keeping up again. 64 KiB: far enough
    /// below the upper mark that a subscriber misses one long stretch and not every other message.
    pub queue_bytes_low: usize,
    /// How much may wait for all subscribers of the shard, counted the same way. From three quarters of it on, each is held to
    /// `queue_bytes_low`; at it, nothing is taken. 256 MiB: a thousand full queues.
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
