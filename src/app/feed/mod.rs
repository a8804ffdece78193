//! A ready WebSocket handler for topics: the subprotocol `squall.v1`, which `docs/feed-protocol.md` describes.
//!
//! [`request`] reads what clients send, and [`reply`] writes what they get besides messages. [`session`] is one socket.
//! [`Feed`](builder::Feed) is what an application says about all of them.

pub(in crate::app) mod access;
pub(in crate::app) mod builder;
pub(in crate::app) mod client;
mod expiry;
mod reply;
pub(in crate::app) mod request;
mod rules;
mod session;
