//! The WebSocket client over sockets: with Squall's server, with tungstenite's, and with servers that break the
//! protocol.

#![cfg(feature = "serve")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod endings;
mod harness;
mod refusals;
mod squall_server;
mod tungstenite_server;
