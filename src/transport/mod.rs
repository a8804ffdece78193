//! What a server and a client move bytes with, between a shard's socket and the protocol machines.
//!
//! [`socket`] is what the bytes travel in: TCP, Unix or TLS (`tls`). [`input`] holds received bytes. [`progress`] checks
//! how fast a peer takes sent bytes, [`arrival`] whether it takes the last of them. [`websocket`] drives a WebSocket over
//! a [`byte_stream`].

pub(crate) mod arrival;
pub(crate) mod byte_stream;
pub(crate) mod input;
pub(crate) mod progress;
pub(crate) mod socket;
#[cfg(feature = "rustls")]
pub(crate) mod tls;
pub(crate) mod websocket;
