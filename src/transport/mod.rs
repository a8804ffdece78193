//! What a server and a client move bytes with: between a stream of the shard and the machines of the floors below.
//!
//! [`input`] is what has arrived, [`progress`] judges how fast a peer takes what it is sent, [`arrival`] whether it takes the last of
//! it, [`websocket`] drives a WebSocket.

pub(crate) mod arrival;
pub(crate) mod input;
pub(crate) mod progress;
pub(crate) mod websocket;
