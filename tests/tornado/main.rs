//! What Tornado's own tests expect of a server, asked over sockets: arguments, pages and static files.
//!
//! Each comment names the tests of Tornado's suite. Where Squall answers otherwise on purpose, the comment says how.

#![cfg(feature = "serve")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod files;
mod pages;

use support::response::Response;
use support::running::Running;

/// Sends a request without content on a connection of its own; field lines end in CRLF.
#[track_caller]
fn ask(server: &Running, method: &str, target: &str, fields: &str) -> Response {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    server.connection().exchange(request.as_bytes(), method).unwrap()
}

/// Sends a POST with content on a connection of its own; field lines end in CRLF.
#[track_caller]
fn post(server: &Running, target: &str, fields: &str, content: &[u8]) -> Response {
    let length = content.len();
    let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{fields}\r\n");
    let request = [head.as_bytes(), content].concat();
    server.connection().exchange(&request, "POST").unwrap()
}

/// A field as text; empty if it is missing.
fn field<'r>(response: &'r Response, name: &str) -> &'r str {
    std::str::from_utf8(response.field(name).unwrap_or_default()).unwrap()
}
