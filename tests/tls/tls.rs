//! Squall over TLS: clients and servers of others, policies, endings, peers that violate TLS, certificates that are
//! reloaded, and the clients of HTTP and WebSockets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod authority;
mod browser;
mod chromium;
mod client;
mod endings;
mod flags;
mod https;
mod origin;
mod origins;
mod peers_leave;
mod plain_beside;
mod policies;
mod programs;
mod reload;
mod wss;
