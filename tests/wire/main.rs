//! The `conformance` example judged in literal bytes over a socket: one module per RFC part, one case per row of the
//! attack table (A01–A22, B01–B09).
//!
//! Tests are named as sentences and cite the section or the row. Squall is met only as another process; no code is shared.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod harness;
mod limits;
mod log;
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

use support::websocket as rfc6455_client;
