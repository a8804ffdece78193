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

mod deliveries;
mod handler;
mod link;
mod opening;
mod options;
mod session;
mod socket;

pub use handler::WebSocketHandler;
pub use link::{Heard, Link, OUTGOING_BYTES_MAX};
pub(super) use opening::Opening;
pub use opening::Upgrade;
pub(super) use options::Sockets;
pub use options::WebSocketOptions;
pub use session::Session;
pub use socket::{TrySendError, WebSocket};
