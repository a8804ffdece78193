//! Drops every public future of the package at each of its polls, on a real server. The loss must be what the table
//! "What is lost when a future is dropped" in `ARCHITECTURE.md` says. `table.rs` compares that table with the sources
//! and with these tests. The futures of the runtime are in `shards/tests/cancellation.rs`.

#![cfg(feature = "serve")]
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

mod client;
mod exchange_tasks;
mod files;
mod harness;
mod identity;
mod rate_limits;
mod requests;
mod responses;
mod state;
mod table;
mod topics;
mod uploads;
mod websockets;
