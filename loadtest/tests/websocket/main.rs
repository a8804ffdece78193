//! `run` against correct and faulty servers of WebSockets and event streams, from the command line: exact counts, named
//! errors, and no hang.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect has failed"
)]

mod echo;
mod event_stream;
mod fan_out;
mod handshake;
mod server;
#[path = "../support/mod.rs"]
mod support;
