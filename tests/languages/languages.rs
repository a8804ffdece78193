//! Languages: which one a request gets, what it says, and how it writes dates and numbers.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod choice;
mod folder;
mod formats;
mod texts;
