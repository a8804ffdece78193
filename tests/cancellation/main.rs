//! Every public future of the package, dropped at each of its polls on a real server: what is lost is what the table "What is lost when a future
//! is dropped" in `ARCHITECTURE.md` says. `table.rs` holds the table to the sources and to these tests, so that no future is forgotten.
//! The runtime's own futures are in `shards/tests/cancellation.rs`.

#![cfg(feature = "serve")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

#[path = "../../shards/tests/common/polls.rs"]
mod polls;
#[path = "../support/mod.rs"]
mod support;

mod client;
mod harness;
mod requests;
mod responses;
mod table;
mod topics;
mod websockets;
