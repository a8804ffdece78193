//! Sockets of a shard: listeners bound before the shards start, outgoing connections, and byte streams.

pub(crate) mod buffer_pool;
mod connect;
mod holder;
mod listener;
mod listeners;
mod patience;
pub(crate) mod send_buffer;
mod stream;

pub use connect::{ADDRESSES_MAX, ConnectError};
pub use listener::Listener;
pub(crate) use listeners::tcp_socket;
pub use listeners::{BindError, Listeners};
pub use stream::{PeerAddress, Stream};
