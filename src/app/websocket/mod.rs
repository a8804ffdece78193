//! WebSockets for applications: handlers, their socket handle, and the state a driver moves bytes with. Layer 2: no
//! socket, no clock.
//!
//! ```text
//!   request ─▶ WebSocketRoute ─ 101 ─▶ Upgrade ─ open ─┬─▶ HandlerTask   the handler's whole life, one boxed future
//!                                                      │      ▲ events      │ WebSocket: send, ping, close, subscribe
//!                                                      │      │             ▼
//!                                driver ◀── bytes ─────┴──▶ SocketState   the protocol machine, one event, the output
//! ```
//!
//! One task drives both. It receives into the [`SocketState`] while the handler waits for an event, and polls the
//! [`HandlerTask`]. While a handler is busy, nothing is read for it, so a slow handler delays its own socket only.
//!
//! A [`SocketState`] is a [`Duplex`] with an application. A client has a [`Duplex`] alone.

mod coalesce;
pub(super) mod connected;
mod deliveries;
mod expiry;
mod expiry_task;
mod handler;
mod handler_task;
mod options;
mod route;
mod run;
mod socket;
mod socket_state;
mod upgrade;

pub use connected::SocketOwner;
pub use handler::WebSocketHandler;
pub use handler_task::HandlerTask;
pub(super) use options::Sockets;
pub use options::WebSocketOptions;
pub(super) use route::WebSocketRoute;
pub use socket::WebSocket;
pub use socket_state::SocketState;
pub use upgrade::Upgrade;
