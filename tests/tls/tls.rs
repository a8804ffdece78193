//! Squall over TLS: clients of others, policies, endings, peers that violate TLS, and certificates that are reloaded.

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
mod client;
mod endings;
mod flags;
mod plain_beside;
mod policies;
mod programs;
mod reload;
