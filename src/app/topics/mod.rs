//! Topics for applications: from a handler's call of `publish` to the bytes that its subscribers read. Layer 2: no
//! socket, no executor, no clock.
//!
//! ```text
//!   Publish, awaited ─▶ PublishRequest ─ encode ─▶ Publication ─┬─▶ OtherShards ─▶ their ShardTopics::deliver
//!                                                              └─▶ deliver
//!                                                                     │ table
//!             SendBuffer or events ◀── take: Batch ◀── Recipient ◀────┘ notify, at the end of the turn
//! ```
//!
//! [`ShardTopics`] has the subscribers of one shard. [`OtherShards`] is what it needs of the server. A [`Recipient`] is
//! notified when messages wait for it: a WebSocket, an event stream or a subscription from outside. [`encode`] makes the
//! bytes that all recipients share, once.

mod encode;
mod handle;
mod history;
mod history_request;
mod name;
mod notifier;
mod notify;
mod other_shards;
mod publish;
mod publish_request;
mod receipts;
mod recipients;
mod shard_topics;
mod unheard;

pub use encode::{check, encode, encoding_bytes, notice_text, topic_deflaters};
pub use handle::TopicsHandle;
pub use history_request::{HistoryRequest, HistoryResponse};
pub(crate) use name::{parse_pattern, parse_topic};
pub use notify::Notify;
pub use other_shards::OtherShards;
pub use publish::{Publish, PublishConfirmed};
pub use publish_request::PublishRequest;
pub use receipts::{ReceiptSender, Receipts};
pub use recipients::{Delivery, Recipient, Remaining};
pub use shard_topics::{ShardTopics, TopicSettings};
pub use unheard::Unheard;
