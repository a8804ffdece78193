//! Topics for applications: publishing, and what stands between a handler's words and the bytes its subscribers read. Floor 2: no socket, no
//! other shard, no clock.
//!
//! ```text
//!   Context::publish ─▶ Draft ─▶ Hub (the server) ─▶ encode ─▶ Publication ─▶ every shard's table ─▶ announce ─▶ take ─▶ frames, or events
//! ```
//!
//! [`Hub`] is what the server does for the handlers of its shard; [`Recipient`] is whoever is told that something waits: a WebSocket, or
//! a stream of events. [`encode`] makes the bytes that all recipients share, once.

mod bell;
mod draft;
mod encode;
mod hub;
mod publish;

pub use bell::Bell;
pub use draft::Draft;
pub use encode::{check, encode, encoding_bytes, notice_text};
pub use hub::{Delivery, Hub, Recipient, Remaining, Waiting};
