//! WebSockets and topics under attack and under load, over the wire: malicious peers, many clients at once, and a million deliveries.
//!
//! `docs/threats.md#websockets-and-topics` lists the attacks and their tests. The unit tests in `src/websocket/tests` and `src/pubsub/tests`
//! show what is invisible from outside, and what takes hours, such as the default keep-alive. `tests/allocations/` counts allocations.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod command_handler;
mod deliveries;
mod frames;
mod handshakes;
mod many_clients;
mod peers;
