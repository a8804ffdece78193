//! HTTP/1.1 and HTTP/1.0, server and client (RFC 9112), without I/O: bytes and the time in, events and bytes out.
//!
//! ```text
//!                     bytes in                                      bytes out
//!                        │                                              ▲
//!          ┌─────────────▼──────────────┐              ┌────────────────┴───────────────┐
//!          │ head     line by line or   │   Request    │ head     status line, fields,  │
//!          │          whole (httparse)  ├─────────────▶│          framing, Connection   │
//!          │   │                        │              │   │                            │
//!          │   ▼      framing decides   │  Data,       │   ▼                            │
//!          │ content  length | chunked  │  Trailer,End │ content  length | chunked |    │
//!          │   │                        ├─────────────▶│          until close | none    │
//!          │   ▼                        │              │   │                            │
//!          │ complete  Blocked ─────────┼──┐        ┌──┼───▼                            │
//!          └────────────────────────────┘  │        │  │ ended                          │
//!                 ▲             ▲          ▼        ▼  └────────────────────────────────┘
//!                 │             └──────  next_exchange ──────▶ Close
//!                 │ rest of content            │
//!                 └──────── Drain ◀────────────┘
//! ```
//!
//! # Theory of operation
//!
//! [`Connection`] owns no socket, no buffer and no clock. The caller keeps the bytes that arrived and presents them to
//! [`receive`](Connection::receive), which consumes complete items from the front: a head, some content, a trailer.
//!
//! Only an incomplete head or trailer line stays with the caller. The machine records how far it has looked, so it
//! never reads a byte twice however the network splits the input. Every split yields the same events and the same
//! error; the tests check that for every transcript.
//!
//! Responses go out in the order of requests, because there is never more than one exchange. Input behind a complete
//! request is not read until [`next_exchange`](Connection::next_exchange).
//!
//! # What is rejected, and why
//!
//! Everything that two readers could understand differently is rejected. If a proxy and this server disagree about the
//! end of a request, one client's bytes become another client's request (`docs/threats.md#request-smuggling`).
//!
//! The server rejects a bare LF, a folded line, and a blank before a colon or around a chunk size. It rejects a second
//! length, and every coding except exactly one `chunked`. `grammar`, `target` and `framing` note each place where RFC
//! 9112 would allow a server to be more lenient.
//!
//! A rejected request ends the connection: nothing behind it is read.
//!
//! # Client side
//!
//! [`ClientConnection`] is the same for clients: it writes requests and reads responses. A WebSocket client needs the
//! heads alone.
//!
//! # Files
//!
//! - `state` is the table of states, `limits` has every limit.
//! - `version` has the two versions of HTTP/1.
//! - A head passes through `line` and `head`; `request`, `target` and `framing` decide what it means.
//! - Content passes through `content` and `chunked`, a response through `send` and `encode`.
//! - `deadline` keeps the time.
//! - `client` is the other side.

mod chunked;
mod client;
mod connection;
mod content;
mod deadline;
mod encode;
mod error;
mod framing;
mod grammar;
mod head;
mod limits;
mod line;
mod request;
mod send;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod version;

pub use chunked::CHUNK_FRAMING_BYTES_MAX;
pub use client::connection::{ClientConnection, ResponseEvent};
pub use client::error::{RequestError, ResponseError};
pub use client::reader::{RESPONSE_FIELDS_MAX, RESPONSE_HEAD_BYTES_MAX, ResponseReader};
pub use client::request::{RequestLength, RequestLine, write_get, write_head};
pub use connection::{Connection, Event, Next};
pub use encode::{BodyLength, HEAD_BYTES_USUAL};
pub use error::{Expired, ParseError, SendError};
pub use limits::Limits;
#[cfg(feature = "serve")]
pub(crate) use limits::http1_setters;
