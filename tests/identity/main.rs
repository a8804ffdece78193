//! The parts "Cookies, signed values, XSRF" and "Users" of the contract of the example `conformance`, in literal bytes
//! over a socket.
//!
//! Squall runs as another process; the tests share no code with it. Tests are named as sentences.

#![cfg(feature = "serve")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod cookies;
mod harness;
mod signed;
mod users;
mod xsrf;
