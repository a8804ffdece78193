//! Login with others against `oidc-provider` (npm), a certified provider that runs here; and what attackers try on it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "../../shards/tests/common/polls.rs"]
mod polls;
#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod bearer;
mod cancellation;
mod harness;
mod pem;
mod provider;
mod visits;
