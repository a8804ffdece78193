//! WebSockets under load: echo, where what is sent comes back, and fan-out, where what one publishes all others receive.
//!
//! Echo is a script of the engine's (`echo`). Fan-out (`fan_out`) has no requests and answers to pace, so it has threads of
//! its own. Both speak through the same strict client: handshake, frames, messages.

pub(crate) mod deflate;
pub(crate) mod echo;
pub(crate) mod fan_out;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod message;
pub(crate) mod payload;
pub(crate) mod socket;
