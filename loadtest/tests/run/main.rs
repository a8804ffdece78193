//! `run` against correct and faulty HTTP servers, from the command line: counts, latencies and errors.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect has failed"
)]

mod counts;
mod latency;
mod refusals;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod transfers;
