//! Sessions, passwords, and the sockets of users, over sockets and on several shards.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod harness;
mod passwords;
mod sessions;
mod sockets;
mod streams;
mod users;
mod xsrf;
