//! A connection from its first byte to its last. It begins with HTTP/1. A 101 or HTTP/2's preface starts a WebSocket or
//! HTTP/2 in a task of its own.

use std::rc::Rc;

use squall_shards::GateGuard;

use super::accepted::Accepted;
use super::ending::Ending;
use super::http1::connection::Connection;
use super::http1::upgrade;
use super::http2;
use super::shard::ShardServer;
use crate::app::Peer;
use crate::transport::socket::Socket;

/// Serves a connection to its end.
pub(super) fn serve(socket: Socket, server: Rc<ShardServer>, guard: GateGuard) -> impl Future<Output = ()> {
    run(Connection::new(socket, server, guard))
}

/// Serves a connection of which something is known already.
pub(super) fn serve_accepted(
    accepted: Accepted,
    server: Rc<ShardServer>,
    guard: GateGuard,
) -> impl Future<Output = ()> {
    let client = accepted.client;
    let socket = Socket::from(accepted.stream);
    let is_secure = socket.is_secure();
    let mut connection = Connection::new(socket, server, guard);
    if client.is_some() {
        connection.pretend_peer(Peer {
            address: client,
            is_secure,
        });
    }
    connection.begin_with(accepted.received);
    run(connection)
}

/// Serves a connection as if it came from `peer`.
#[cfg(any(feature = "rustls", feature = "testing"))]
pub(super) fn serve_as(
    peer: Peer,
    socket: Socket,
    server: Rc<ShardServer>,
    guard: GateGuard,
) -> impl Future<Output = ()> {
    let mut connection = Connection::new(socket, server, guard);
    connection.pretend_peer(peer);
    run(connection)
}

#[expect(
    clippy::manual_async_fn,
    reason = "the argument of an `async fn` would take space in the task twice"
)]
fn run(mut connection: Connection) -> impl Future<Output = ()> {
    async move {
        match connection.serve_requests().await {
            Ending::Idle if connection.has_arrived() => {}
            Ending::Idle | Ending::Close => connection.linger().await,
            Ending::Upgrade => upgrade::start(connection),
            Ending::Http2 => http2::start::start(connection.into_switched()),
            Ending::Abort | Ending::PeerGone => {}
        }
    }
}
