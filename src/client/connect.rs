//! The connection under a client, of HTTP or of WebSockets: TCP to the first address of a host that answers.
//!
//! [`tls`](super::tls) makes it secure.

use std::time::Instant;

use squall_shards::{ConnectError, Stream};

use super::tls::security::Protocols;
use crate::transport::socket::Socket;

/// What clients of HTTP/1.1 and of WebSockets offer.
pub(super) const HTTP_1: Protocols = &[b"http/1.1"];

/// Connects to a host, given by name or address, before a deadline. The addresses of a name are raced.
pub(super) async fn connect(host: &str, port: u16, deadline: Instant) -> Result<Socket, ConnectError> {
    Stream::connect_host(host, port, deadline).await.map(Socket::from)
}
