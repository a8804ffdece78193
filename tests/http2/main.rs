//! HTTP/2 over sockets: cleartext by prior knowledge, with literal bytes and with clients of others.
//!
//! `SQUALL_TEST_DRIVER` selects the driver, as for the other wire tests.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod alike;
mod attacks;
mod clients;
mod endings;
mod exchanges;
mod panics;
mod peers_leave;
mod rows;
mod websockets;
mod wire;
