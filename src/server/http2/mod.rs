//! HTTP/2 on a shard's sockets. [`connection`] has the loop, and [`stream`] a request whose handler waits. [`handler`]
//! starts handlers. [`respond`] writes what leaves at once, and [`output`] what leaves in turns. [`start`] takes a
//! connection over from HTTP/1. [`tunnel`] is a stream that became a WebSocket.

mod connection;
mod handler;
pub(super) mod handler_pool;
mod linger;
mod output;
mod respond;
pub(super) mod start;
mod stream;
mod tunnel;
mod wire;
