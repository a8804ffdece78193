//! `run` against HTTP servers, good and bad, from the command line: what it counts, what it sees that others hide, and what it
//! says when something is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect has failed"
)]

mod counts;
mod latency;
mod refusals;
mod support;
