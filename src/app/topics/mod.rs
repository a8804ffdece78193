//! Topics for applications: from a handler's call of `publish` to the bytes that its subscribers read. Layer 2: no
//! socket, no other shard, no clock.
//!
//! ```text
//!   Publish, awaited ─▶ PublishRequest ─▶ ServerHandle ─▶ encode ─▶ Publication ─▶ every shard's table
//!                                                                                        │
//!                                             frames or events ◀─ take ◀─ Recipient ◀────┘ notify
//! ```
//!
//! [`ServerHandle`] is what the server does for the handlers of its shard. A [`Recipient`] is notified when messages
//! wait for it: a WebSocket, an event stream or a subscription from outside. [`encode`] makes the bytes that all
//! recipients share, once.

mod encode;
mod handle;
mod notify;
mod publish;
mod publish_request;
mod server_handle;

pub use encode::{check, encode, encoding_bytes, notice_text};
pub use handle::TopicsHandle;
pub use notify::Notify;
pub use publish::{Publish, PublishConfirmed};
pub use publish_request::PublishRequest;
pub use server_handle::{Delivery, Recipient, Remaining, ServerFuture, ServerHandle};
