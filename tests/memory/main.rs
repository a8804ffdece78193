//! Memory shortage: a limited address space (`address_space.rs`) and a control group (`control_group_limits.rs`). A
//! request may get 503 and a connection may be cut. The server goes on and keeps no memory of them
//! (`docs/threats.md#memory-exhaustion`). In `tests/allocations/refused.rs` each allocation is refused in turn.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod address_space;
mod control_group;
mod control_group_limits;
mod request_result;
