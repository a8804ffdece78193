//! Tests of the `conformance` example in literal bytes over a socket: one module per RFC part, and one for each group
//! of attacks in `docs/threats.md`.
//!
//! Tests are named as sentences and cite the section or the attack. Squall runs as another process; the tests share
//! no code with it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod cors;
mod harness;
mod languages;
mod limits;
mod log;
mod pages;
mod resources;
mod rfc6455_frames;
mod rfc6455_handshake;
mod rfc9110_semantics;
mod rfc9112_connection;
mod rfc9112_fields;
mod rfc9112_framing;
mod rfc9112_request_line;
mod shortage;
mod slow_peer;
mod smuggling;
mod split;
mod stopped;
mod templates;

use support::websocket as rfc6455_client;
