//! The connection under a client, of HTTP or of WebSockets: TCP to the first address of a host that answers.

use std::time::Instant;

use squall_shards::{ConnectError, Stream};

use crate::transport::socket::Socket;

/// Connects to a host, given by name or address, before a deadline. The addresses of a name are raced.
pub(super) async fn connect(host: &str, port: u16, deadline: Instant) -> Result<Socket, ConnectError> {
    Stream::connect_host(host, port, deadline).await.map(Socket::from)
}
