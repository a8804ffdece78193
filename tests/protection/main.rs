//! What protects an application and its users, over sockets: security headers, timeouts, rate limits.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod rate_limits;
mod security_headers;
mod timeouts;
