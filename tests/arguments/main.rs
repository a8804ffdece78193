//! The part "Arguments and bodies" of the contract of the example `conformance`, in literal bytes over a socket.
//!
//! Squall runs as another process; the tests share no code with it. Tests are named as sentences.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod forms;
mod harness;
mod inflate;
mod json;
mod query;
mod route_limits;
mod streams;
mod uploads;
