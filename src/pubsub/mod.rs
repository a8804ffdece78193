//! Topics and their subscribers: one table per shard, without sockets, clocks or locks.
//!
//! ```text
//!  Publication ──▶ Logs           numbers and retains it, on the topic's owner shard, if the topic has a history
//!       │            │ position
//!       ▼            ▼
//!     every shard's Topics ── subscriptions ──▶ members ──▶ an outbox each ── announced ──▶ take ──▶ one vectored send
//!                              hash table        dense        empty, one batch,
//!                              and trie          list         or a backlog with a policy
//! ```
//!
//! # Theory of operation
//!
//! A message crosses to a shard once, and all subscribers of the shard share it. [`Topics::publish`] creates one record
//! and puts a pointer to it into each outbox.
//!
//! Messages of one topic that are published together form one record, a batch. A batch waits as one entry as long as
//! there is room for all of it. Policies, notices and receipts always count single messages.
//!
//! A subscriber with something new is announced once. At the end of the turn the server takes everything it has and
//! sends it with one call.
//!
//! A publisher never waits. The topic's [`SlowConsumer`] policy handles a subscriber that does not keep up, within byte
//! limits per subscriber and per shard. The [`Receipt`] counts every message a subscriber does not get.
//!
//! # Guarantees
//!
//! - Messages of one topic arrive in the order they were published on this shard, each once, however many patterns
//!   match. Only conflated values may overtake one another.
//! - A [`Notice`] marks the place of missing messages, if the topic's rules ask for notices.
//! - A topic with a history numbers its messages without holes. A client that resumes from its [`Position`] gets
//!   everything it missed, or a [`Gap`].
//!
//! # Files
//!
//! - Names and rules: `topic` has names and patterns, `rules` the options, `limits` every bound.
//! - Publishing: `topics` finds members through `subscriptions` and `trie`; `subscribers` holds the outboxes.
//! - Waiting messages: `outbox`, `backlog` with the policies, `batch` for the messages themselves.
//! - The rest: `log` and `logs` are the history, `notice` the notices, `counts` and `presence` the subscribers of all
//!   shards.

mod backlog;
mod backlog_pool;
mod batch;
mod by_key;
mod counts;
mod limits;
mod log;
mod logs;
mod notice;
mod outbox;
mod position;
mod presence;
mod publication;
mod receipt;
mod rules;
mod subscribers;
mod subscriptions;
mod take;
#[cfg(test)]
mod tests;
mod topic;
mod topics;
mod trie;

pub use counts::{CountChange, SubscriberCounts};
#[cfg(feature = "serve")]
pub(crate) use limits::pubsub_setters;
pub use log::{Gap, GapReason};
#[cfg(feature = "serve")]
pub(crate) use logs::history_setters;
pub use notice::{Missed, Notice};
pub use position::{InvalidPosition, Position, Start};
pub use presence::{PRESENCE_NAME_BYTES_MAX, PRESENCE_NAMES_MAX, Presence};
pub use receipt::Receipt;
pub use rules::{Envelope, HistoryLimits, InvalidRule, RULES_MAX, SlowConsumer, TopicOptions};
pub use topic::{InvalidTopic, PATTERN_WILDCARDS_MAX, Pattern, TOPIC_BYTES_MAX, TOPIC_SEGMENTS_MAX, Topic};

// The machine that the server drives is public for benchmarks and fuzz targets, and promises no stability.
#[doc(hidden)]
pub use batch::Batch;
#[doc(hidden)]
pub use limits::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, Limits, MESSAGE_OVERHEAD_BYTES, RESYNCS_MAX, TAKE_MESSAGES_MAX};
#[doc(hidden)]
pub use log::{LOG_OVERHEAD_BYTES, Log, Resumed};
#[doc(hidden)]
pub use logs::{EXPIRE_TOPICS_MAX, LogLimits, Logs};
#[doc(hidden)]
pub use publication::{Alternative, Publication};
#[doc(hidden)]
pub use rules::TopicRules;
#[doc(hidden)]
pub use subscribers::SubscriberId;
#[doc(hidden)]
pub use take::{OutboxItem, Resync, TakeLimits, TakeStatus, Unsent};
#[doc(hidden)]
pub use topic::Wildcard;
#[doc(hidden)]
pub use topics::{Statistics, SubscribeError, Topics};
