//! HTTP/2 (RFC 9113), for servers and clients, without I/O: bytes and the time come in, events and bytes go out.
//!
//! ```text
//!           bytes in                                                             bytes out
//!              │                                                                     ▲
//!   ┌──────────▼───────────┐  block  ┌────────────────┐ Request      handler ┌───────┴────────┐
//!   │ frame   9 bytes, then├────────▶│ blocks, head   ├─────────────────────▶│ send   heads   │
//!   │         its payload  │         │ (HPACK)        │                      │        ends    │
//!   │   │                  │  DATA   ├────────────────┤ Data, End            │        trailers│
//!   │   │                  ├────────▶│ content        ├──────────┐           │  ▲             │
//!   │   ▼                  │ others  ├────────────────┤          ▼           │  │ whose turn? │
//!   │ budget  odd frames   ├────────▶│ control        │        flow ────────▶│  schedule      │
//!   └──────────────────────┘         └────────────────┘  window updates      └────────────────┘
//! ```
//!
//! # Theory of operation
//!
//! [`Connection`] owns no socket, no clock and no content. The caller keeps the bytes that arrived and presents them to
//! [`receive`](Connection::receive). Content is passed on as it comes, in any pieces. All else is read frame by frame,
//! so every split of the input gives the same events and the same error.
//!
//! Output is appended to a buffer of the caller. The machine says which stream may send how much
//! ([`next_sender`](Connection::next_sender)), and the caller copies that much content behind a frame header.
//!
//! # What a peer can cost
//!
//! A frame is judged by its header, before its payload is awaited. A stream keeps its place until its handler has ended,
//! so a reset does not make room for another request. Resets and frames without use are charged to one
//! `budget`, where the stream is unregistered (`docs/threats.md#http2-resets`).
//!
//! # What is rejected
//!
//! Everything that an HTTP/1 hop behind this server would read differently. Such are fields of HTTP/1 connections,
//! upper case, blanks around values, and control characters. Such are pseudo-fields late, twice, unknown or missing,
//! another `host` than `:authority`, and a `content-length` that is not the content's. A malformed message resets its
//! stream. A block that cannot be decoded ends the connection.
//!
//! # Files
//!
//! - `connection` reads frames; `blocks`, `content` and `control` handle them. `frame`, `settings` are their forms.
//! - `hpack` and `field` decode header blocks, `head` makes requests of them.
//! - `stream` is the table of states, `streams` the streams of a connection, `key` their names.
//! - `window` and `flow` control what is received, `schedule` and `priority` what is sent.
//! - A stream can become a tunnel (RFC 8441): bytes in both directions in place of content, without a pace.
//! - `send` and `encode` write messages; `client` is the half that only a client has.
//! - `limits` has every limit, `budget`, `deadline` and `pace` what a peer may do in a time.

mod block;
mod blocks;
mod budget;
mod client;
mod clock;
mod connection;
mod content;
mod control;
mod data;
mod deadline;
mod encode;
mod error;
mod field;
mod flow;
mod frame;
mod head;
#[doc(hidden)]
pub mod hpack;
mod key;
mod limits;
mod pace;
mod priority;
mod schedule;
mod send;
mod settings;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod window;

pub use client::RequestStart;
pub use connection::{Connection, ContentLength, Event, PREFACE};
pub use error::{ConnectionError, ErrorCode, Expired, SendError};
pub use frame::FRAME_HEADER_BYTES;
pub use key::StreamKey;
#[cfg(feature = "serve")]
pub(crate) use limits::http2_setters;
pub use limits::{Limits, Settings};
pub use send::ResponseStart;

/// What [`Connection::begin`] writes for a server, in bytes.
pub const FIRST_BYTES_MAX: usize = 64;

/// Room for a head of usual size: 256 bytes, as in HTTP/1.
pub const HEAD_BYTES_USUAL: usize = 256;

/// Room for the output of a few frames without content: 256 bytes.
pub const CONTROL_BYTES_USUAL: usize = 256;
