//! Sockets of a shard: listeners bound before the shards start, outgoing connections, and byte streams.
//!
//! Each socket type holds an enum with a variant for each driver: a slot in the [ring](crate::driver::io_uring) or in
//! [epoll](crate::driver::epoll), made from the shard's [`Reactor`](crate::driver::Reactor). UDP sockets get their
//! place here, in `net/udp`, in the same form. Files have the folder `file/` beside this one. Their reads never wait,
//! or are blocking work.

mod address_lock;
mod bound_socket;
pub(crate) mod buffer_pool;
mod connect;
mod holder;
mod listener;
mod listeners;
pub(crate) mod page_send;
mod patience;
mod race;
pub(crate) mod send_buffer;
mod stream;

pub use connect::{ADDRESSES_MAX, ConnectError};
pub use listener::Listener;
pub(crate) use listeners::tcp_socket;
pub use listeners::{BindError, Listeners};
pub use stream::{PeerAddress, Stream};
