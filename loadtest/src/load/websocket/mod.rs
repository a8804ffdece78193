//! WebSocket loads: echo, where the server returns each message, and fan-out, where all subscribers receive each
//! published message.
//!
//! Echo (`echo`) is a script of the engine. Fan-out (`fan_out`) has no request-answer pairs, so it runs its own
//! threads. Both use the same strict client: handshake, frames, messages.

pub(crate) mod deflate;
pub(crate) mod echo;
pub(crate) mod fan_out;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod message;
pub(crate) mod payload;
pub(crate) mod socket;
