//! Sockets of a shard: listeners that are bound before the shards start and opened by them, outgoing connections, and streams of bytes.

mod connect;
mod holder;
mod listener;
mod listeners;
mod patience;
mod reuseport;
mod stream;

pub use connect::{ADDRESSES_MAX, ConnectError};
pub use listener::Listener;
pub(crate) use listeners::tcp_socket;
pub use listeners::{BindError, Listeners};
pub(crate) use reuseport::ReuseportGroup;
pub use stream::{PeerAddress, Stream};
