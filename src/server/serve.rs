//! A connection from its first byte to its last: HTTP until a 101, then a WebSocket in a task of its own.

use std::rc::Rc;

use squall_shards::GateGuard;

use super::http1::connection::{Connection, Ending};
use super::http1::upgrade;
use super::shard::ShardServer;
use crate::transport::socket::Socket;

/// Serves a connection to its end.
///
/// Not an `async fn`: its arguments would take space in the task twice.
pub(super) fn serve(socket: Socket, server: Rc<ShardServer>, guard: GateGuard) -> impl Future<Output = ()> {
    let mut connection = Connection::new(socket, server, guard);
    async move {
        match connection.serve_requests().await {
            Ending::Idle if connection.socket.has_arrived() => {}
            Ending::Idle | Ending::Close => connection.linger().await,
            Ending::Upgrade => upgrade::start(connection),
            Ending::Abort | Ending::PeerGone => {}
        }
    }
}
