//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692), for servers and clients: bytes and the time come in, events
//! and bytes go out.
//!
//! ```text
//!          request head                                 response head
//!               │                                              ▲
//!               ▼                                              │
//!          handshake ── extensions ── negotiate ───────────────┘
//!                                        │
//!   bytes in                             ▼                          bytes out
//!      │      ┌───────────────────────────────────────────────────┐    ▲
//!      │      │ frame    header, then rules                       │    │
//!      │      │   ├─ data ────▶ message   mask, utf8, fragments   │    │
//!      └─────▶│   │                └─ deflate (lent) ─▶ Message   │    │
//!             │   ├─ ping ────▶ pending_control ──────────────────┼────┤
//!             │   └─ close ───▶ close ─▶ pending_control ─────────┼────┤
//!             │                                                   │    │
//!             │ send ◀─ deflate (lent)   ping   close ────────────┼────┘
//!             └───────────────────────────────────────────────────┘
//! ```
//!
//! # Theory of operation
//!
//! [`Connection`] owns no socket and no clock. [`receive`](Connection::receive) takes whole items off the front of the
//! input; only an incomplete header or control frame stays. It unmasks payload as it arrives and checks text at once,
//! so an invalid message fails at its first bad byte. Events and errors do not depend on how the input is cut; the
//! tests check this for every transcript.
//!
//! Answers that the protocol requires are *pending control frames*.
//! [`send_pending_control`](Connection::send_pending_control) writes them when the caller has room. A peer that causes
//! answers and reads none costs a bounded amount of memory, then its connection.
//!
//! # Memory
//!
//! A connection holds no compressor: the shard's [`Deflaters`] are lent to each call. With context takeover, a
//! connection keeps the last window of bytes instead, at most 32 KiB each way, out of the shard's budget.
//!
//! Memory is allocated only for received bytes. A message that is too big is rejected at its header, or, if it is
//! compressed, after at most 16 KiB beyond the limit.
//!
//! # One message, many receivers
//!
//! [`encode`] makes one frame for all connections with the same [`Encoding`], which [`Connection::share`] returns.
//!
//! # Where to read what
//!
//! | step | files |
//! |---|---|
//! | numbers | `limits` |
//! | handshake | `handshake` or `client`, `extensions`, `negotiate` |
//! | received frame | `frame`, `mask`, `message`, `utf8`, `deflate` with `window`; or `close`, `pending_control` |
//! | sent frame | `send`, `encoding` |
//! | time | `peer_timer` |

mod client;
mod close;
mod connection;
mod deflate;
mod duplex;
mod encoding;
mod error;
mod extensions;
mod frame;
mod handshake;
mod limits;
mod mask;
mod message;
mod negotiate;
mod peer_timer;
mod pending_control;
mod send;
#[cfg(test)]
mod tests;
mod utf8;
mod waiters;
mod window;
mod window_bits;

pub use crate::message::CloseCode;
pub use client::ClientHandshakeError;
pub use close::CloseFrame;
pub use error::SendError;
pub use handshake::is_same_origin;
pub use limits::Limits;
#[cfg(feature = "serve")]
pub(crate) use limits::websocket_setters;
pub use message::{Message, Payload};
pub use negotiate::DeflateConfig;
pub use tungstenite::Utf8Bytes;
pub use window_bits::WindowBits;

// The machine that server and client drive is public for benchmarks and fuzz targets, and promises no stability.
#[doc(hidden)]
pub use client::{Agreement, ClientHandshake};
#[doc(hidden)]
pub use connection::{Connection, Event, MaskKeys};
#[doc(hidden)]
pub use deflate::Deflaters;
#[doc(hidden)]
pub use duplex::{Duplex, End, OUTGOING_BYTES_MAX, ReceiveOutcome, SocketEvent};
#[doc(hidden)]
pub use encoding::{Encoding, decode, deflate, encode};
#[doc(hidden)]
pub use error::{Expired, ProtocolError};
#[doc(hidden)]
pub use handshake::{HandshakeError, ServerHandshake, SubprotocolNotOffered};
#[doc(hidden)]
pub use negotiate::Deflate;
