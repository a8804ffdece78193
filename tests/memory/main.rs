//! Row H14: memory that is refused, once at every place that asks for it (`refused.rs`), and for real, in a process whose address space is
//! limited (`limited.rs`), or that lives in a control group (`grouped.rs`). A request may fail, a connection may be cut; the server goes on, and keeps nothing of it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod address_space;
mod application;
mod control_group;
mod control_group_limits;
mod failed_allocations;
mod request_result;
