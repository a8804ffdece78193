//! Topics for applications: publishing, and what stands between a handler's words and the bytes its subscribers read. Floor 2: no socket, no
//! other shard, no clock.
//!
//! ```text
//!   Context::publish ─▶ PublishRequest ─▶ ServerHandle (the server) ─▶ encode ─▶ Publication ─▶ every shard's table ─▶ announce ─▶ take ─▶ frames, or events
//! ```
//!
//! [`ServerHandle`] is what the server does for the handlers of its shard; [`Recipient`] is whoever is told that something waits: a WebSocket, or
//! a stream of events. [`encode`] makes the bytes that all recipients share, once.

mod encode;
mod notify;
mod publish;
mod publish_request;
mod server_handle;

pub use encode::{check, encode, encoding_bytes, notice_text};
pub use notify::Notify;
pub use publish_request::PublishRequest;
pub use server_handle::{Delivery, Recipient, Remaining, ServerHandle, Waiting};
