//! WebSockets: a strict client (handshake, frames, messages), and the echo, where the server returns each message.
//!
//! The echo (`echo`) is a script of the engine. The fan-out uses the same client.

pub(crate) mod deflate;
pub(crate) mod echo;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod message;
pub(crate) mod payload;
pub(crate) mod socket;
