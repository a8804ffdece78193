//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692), both ends of it: bytes and the time come in, events and
//! bytes go out.
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
//!             │   ├─ ping ────▶ owed ─────────────────────────────┼────┤
//!             │   └─ close ───▶ close ─▶ owed ────────────────────┼────┤
//!             │                                                   │    │
//!             │ send ◀─ deflate (lent)   ping   close ────────────┼────┘
//!             └───────────────────────────────────────────────────┘
//! ```
//!
//! # Theory of operation
//!
//! [`Connection`] owns no socket and no clock. The caller presents what has arrived to
//! [`receive`](Connection::receive), which takes whole things off its front; only an unfinished header or control frame
//! stays. Payload is taken as it comes, unmasked, and validated at once if it is text, so that a message that can never be
//! valid is refused at its first wrong byte. Whatever the pieces, the events are the same, and so is the error; the
//! tests hold every transcript to that.
//!
//! What a peer makes us answer is *owed*, and written by [`send_pending_control`](Connection::send_pending_control) when the caller has room:
//! a peer that asks and does not read costs a bounded amount, then the connection.
//!
//! # Memory
//!
//! A connection holds no compressor: [`Deflaters`] belong to the shard and are lent to each call. Where context takeover
//! was negotiated, the connection keeps the last window of bytes instead, at most 32 KiB each way, out of one budget.
//! Nothing is allocated for a byte that has not come, and a message is refused by the header that makes it too big, or,
//! if it is compressed, after at most 16 KiB more than it may have.
//!
//! # One message, many receivers
//!
//! [`encode`] makes a frame that any number of connections can be sent by reference, one for each [`Encoding`] among
//! them; [`Connection::share`] says which one a connection reads.
//!
//! # Where to read what
//!
//! `limits` has every number. A request goes through `handshake` (or `client`), `extensions` and `negotiate`; a frame
//! through `frame`, `mask`, `message`, `utf8` and `deflate` with `context`, or through `close` and `owed`; what is sent,
//! through `send` and `encoding`; `deadline` keeps the time.

mod client;
mod close;
mod connection;
mod deflate;
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
mod window;

pub use crate::message::CloseCode;
pub use client::{Agreement, ClientHandshake, ClientHandshakeError};
pub use close::CloseFrame;
pub use connection::{Connection, Event, MaskKeys};
pub use deflate::Deflaters;
pub use encoding::{Encoding, WindowBits, decode, deflate, encode};
pub use error::{Expired, ProtocolError, SendError};
pub use handshake::{HandshakeError, ServerHandshake, SubprotocolNotOffered, is_same_origin};
pub use limits::Limits;
pub use message::{Message, Payload};
pub use negotiate::{Deflate, DeflateConfig};
pub use tungstenite::Utf8Bytes;
