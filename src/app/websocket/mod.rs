//! WebSockets for applications: handlers, the handle they speak through, and what a driver moves bytes with. Floor 2: no socket, no clock.
//!
//! ```text
//!   request ─▶ opening ── 101 ──▶ Upgrade ── open ─┬─▶ Session   the handler's whole life, one boxed future
//!                                                  │      ▲ events      │ WebSocket: send, ping, close, subscribe
//!                                                  │      │             ▼
//!                            driver ◀── bytes ─────┴──▶ Link      the protocol machine, one event, the output
//! ```
//!
//! One task drives both: it feeds a [`Link`] what arrives while the handler waits for an event, and polls the [`Session`]. A handler that is
//! busy is not handed the next event and nothing more is read for it, so it slows its own socket and no other.
//!
//! A [`Link`] is a [`Duplex`] that belongs to an application. A client, which has none, has a [`Duplex`] alone.

mod batch;
mod deliveries;
mod duplex;
mod handler;
mod link;
mod opening;
mod options;
mod session;
mod socket;

pub use batch::Batch;
pub use duplex::{Duplex, End, Heard, OUTGOING_BYTES_MAX};
pub use handler::WebSocketHandler;
pub use link::Link;
pub(super) use opening::Opening;
pub use opening::Upgrade;
pub(super) use options::Sockets;
pub use options::WebSocketOptions;
pub use session::Session;
pub use socket::{TrySendError, WebSocket};
