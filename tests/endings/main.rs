//! How exchanges end when something goes wrong: an abandoned flush, a peer that leaves, a server that stops.
//!
//! Each test runs the server in this process, on the driver under test. It sends literal bytes over TCP and over a
//! Unix socket.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod abandoned_flush;
mod completion;
mod harness;
mod order;
mod peer_leaves;
mod stop;
mod websockets_leave;
