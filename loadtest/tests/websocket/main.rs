//! `run` against WebSocket servers, good and bad, from the command line: what is measured is true, what is wrong is said, and
//! nothing hangs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect has failed"
)]

mod command;
mod echo;
mod fan_out;
mod handshake;
mod server;
