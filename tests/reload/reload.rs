//! The helpers of development: templates that are read anew, and a program that is rebuilt and restarted.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod supervisor;
mod templates;
