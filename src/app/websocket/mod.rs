//! WebSockets for applications: handlers, the handle they speak through, and what a driver moves bytes with. Floor 2: no socket, no clock.
//!
//! ```text
//!   request ─▶ opening ── 101 ──▶ Upgrade ── open ─┬─▶ HandlerTask   the handler's whole life, one boxed future
//!                                                  │      ▲ events      │ WebSocket: send, ping, close, subscribe
//!                                                  │      │             ▼
//!                            driver ◀── bytes ─────┴──▶ SocketState      the protocol machine, one event, the output
//! ```
//!
//! One task drives both: it feeds a [`SocketState`] what arrives while the handler waits for an event, and polls the [`HandlerTask`]. A handler that is
//! busy is not handed the next event and nothing more is read for it, so it slows its own socket and no other.
//!
//! A [`SocketState`] is a [`Duplex`] that belongs to an application. A client, which has none, has a [`Duplex`] alone.

mod coalesce;
mod deliveries;
mod duplex;
mod handler;
mod handler_task;
mod options;
mod route;
mod socket;
mod socket_state;

pub use coalesce::FrameBatch;
pub use duplex::{Duplex, End, OUTGOING_BYTES_MAX, ReceiveOutcome};
pub use handler::WebSocketHandler;
pub use handler_task::HandlerTask;
pub(super) use options::Sockets;
pub use options::WebSocketOptions;
pub use route::Upgrade;
pub(super) use route::WebSocketRoute;
pub use socket::{TrySendError, WebSocket};
pub use socket_state::SocketState;
