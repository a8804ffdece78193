//! Static files over a socket: each sentence of the contract, the attacks of `docs/threats.md`, and faults of the disk.
//!
//! Squall runs as another process; the tests share no code with it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod conditions;
mod example;
mod faults;
mod paths;
mod ranges;
mod site;
mod snapshots;
mod variants;
mod versions;
