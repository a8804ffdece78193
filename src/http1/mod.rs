//! HTTP/1.1 and HTTP/1.0 as a server speaks them (RFC 9112): bytes and the time come in, events and bytes go out.
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
//! [`Connection`] owns no socket, no buffer and no clock. The caller keeps what has arrived and presents it to
//! [`receive`](Connection::receive), which takes whole things off its front: a head, some content, a trailer. Only a
//! head or a trailer line that is not all there stays, and the machine remembers how far it has looked, so that no
//! cutting into pieces makes it look again. Whatever the pieces, the events are the same, and so is the error; the
//! tests hold every transcript to that.
//!
//! Answers come in the order of requests because there is never more than one exchange: behind a complete request the
//! input is not looked at until [`next_exchange`](Connection::next_exchange).
//!
//! # What is refused, and why
//!
//! Anything two readers could take for different things. Between a client and this server stand proxies, and where they
//! and we disagree about where a request ends, one client's bytes become another client's request. So no bare LF, no
//! folded line, no blank before a colon or around a chunk size, no second length, no coding but exactly one `chunked`,
//! no `Host` that differs from the target. A refused request ends the connection: nothing behind it is read. Each
//! deviation from what RFC 9112 would let a lenient server do is noted where it is made, in `grammar`, `target` and
//! `framing`.
//!
//! # The other end
//!
//! `client` writes the head of a request and reads that of its response, which is all a WebSocket's client needs of HTTP.
//!
//! # Where to read what
//!
//! `state` is the table of states, `limits` every number. A head goes through `line` and `head`, its meaning
//! through `request`, `target` and `framing`, content through `content` and `chunked`, a response through `send` and
//! `encode`; `deadline` keeps the time.

mod byte_set;
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

pub use chunked::CHUNK_FRAMING_BYTES_MAX;
pub use client::{RESPONSE_FIELDS_MAX, RESPONSE_HEAD_BYTES_MAX, ResponseError, ResponseReader, write_get};
pub use connection::{Connection, Event, Next};
pub use encode::{BodyLength, HEAD_BYTES_USUAL};
pub use error::{Expired, ParseError, SendError};
pub use limits::Limits;
