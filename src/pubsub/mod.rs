//! Topics, and who hears of them: a table for each shard, without sockets, without the time, and without a lock.
//!
//! ```text
//!  Publication ──▶ Logs           numbers it and keeps it, on the topic's home shard, if the topic has a history
//!       │            │ position
//!       ▼            ▼
//!     every shard's Topics ── subscriptions ──▶ members ──▶ an outbox each ── announced ──▶ take ──▶ one vectored send
//!                              hash table        dense        nothing, one burst,
//!                              and trie          list         or a backlog with a policy
//! ```
//!
//! # Theory of operation
//!
//! A message crosses to a shard once and is shared there by all who get it: [`Topics::publish`] makes one record and puts a pointer to it
//! into each outbox. Messages of a topic that are published together make one record too, a burst, and wait as one for as long as there is
//! room for all of them; policies, notices and receipts deal with single messages all the same. A subscriber with something new is announced once; the server takes all it has at the end of the turn and sends it
//! with one call. A publisher never waits: a subscriber that does not keep up is dealt with as the topic's [`SlowConsumer`] says, within
//! limits in bytes for each subscriber and for the shard, and every message it does not get is counted in the [`Receipt`].
//!
//! # What a subscriber may rely on
//!
//! Messages of one topic come in the order in which they were published on this shard, each once however many patterns fit; conflated
//! values alone may overtake one another. Where messages are missing, a [`Notice`] stands in their place, if the topic's rules say so.
//! A topic with a history numbers its messages without holes, so a client that comes back with the [`Position`] it had gets either all it
//! missed or is told of a [`Gap`].
//!
//! # Where to read what
//!
//! `topic` is names and patterns, `rules` what is said about them, `limits` every number. A publication goes through `topics`, which finds
//! members in `subscriptions` and `trie`, and `subscribers`, which has the outboxes: `outbox`, and `backlog` with the policies; what waits in
//! them is a `burst`, or a part of one. `log` and `logs` are the past, `notice` what is told in the place of messages, `counts` how many there are on all shards, `presence` who.

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
#[cfg(test)]
mod tests;
mod topic;
mod topics;
mod trie;

pub use batch::BatchSlice;
pub use counts::{CountChange, SubscriberCounts};
pub use limits::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, Limits, MESSAGE_OVERHEAD_BYTES, RESYNCS_MAX, TAKE_MESSAGES_MAX};
pub use log::{Gap, GapReason, LOG_OVERHEAD_BYTES, Log, Resumed};
pub use logs::{EXPIRE_TOPICS_MAX, LogLimits, Logs};
pub use notice::{Missed, Notice};
pub use outbox::{OutboxItem, Resync, TakeLimits, TakeStatus, Unsent};
pub use position::{InvalidPosition, Position, Start};
pub use presence::{PRESENCE_NAME_BYTES_MAX, PRESENCE_NAMES_MAX, Presence};
pub use publication::{Alternative, Publication};
pub use receipt::Receipt;
pub use rules::{Envelope, HistoryLimits, InvalidRule, RULES_MAX, SlowConsumer, TopicOptions, TopicRules};
pub use subscribers::SubscriberId;
pub use topic::{InvalidTopic, PATTERN_WILDCARDS_MAX, Pattern, TOPIC_BYTES_MAX, TOPIC_SEGMENTS_MAX, Topic, Wildcard};
pub use topics::{Statistics, SubscribeError, Topics};
