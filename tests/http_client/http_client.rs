//! The HTTP client over real sockets, with servers that send literal bytes.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../../shards/tests/common/polls.rs"]
mod polls;
#[path = "../support/mod.rs"]
mod support;

mod cancellation;
mod content;
mod expect;
mod framing;
mod handlers;
mod harness;
mod pool;
mod proxies;
mod races;
mod redirects;
mod requests;
mod timeouts;
