//! The application layer through its public API, called without a server, and the channel to its
//! driver.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of a test fail it by panicking; clippy.toml excuses only the test functions themselves"
)]

#[path = "../support/app_client.rs"]
mod app_client;
mod arguments;
mod bodies;
mod channel;
mod compression;
mod conditional;
mod cookies;
mod cors;
mod errors;
mod exchange_task;
mod forwarded;
mod limits;
mod methods;
mod middleware;
mod redirects;
mod requests;
mod responses;
mod routing;
mod static_files;
mod uploads;
#[cfg(feature = "templates")]
mod views;
