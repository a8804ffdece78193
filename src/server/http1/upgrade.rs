//! The step from HTTP to a WebSocket: socket, unread input and unsent output go to a new task.
//!
//! The HTTP task ends, so an idle WebSocket holds none of HTTP's memory.
//!
//! Invariant: no byte is lost. Frames behind the request are read first, and the 101 leaves before any frame (RFC 6455
//! §4.2.2).

use std::rc::Rc;

use squall_shards::spawn_detached;

use super::connection::Connection;
use crate::memory;
use crate::server::websocket::serve;

/// What a WebSocket allocates without a check, its task and its handler, rounded up. 4 KiB.
const SOCKET_BYTES: usize = 4 * 1024;

/// Starts the task that serves the WebSocket of a 101.
pub(in crate::server) fn start(connection: Connection) {
    // The application turns a 101 without an upgrade into an error, so there is one.
    let Some((mut upgraded, upgrade)) = connection.into_upgraded() else {
        return;
    };
    let connected = &mut upgraded.connected;
    let shared = upgraded.place.server.app.shared();
    let set_aside = connected.input.set_aside(&connected.socket);
    if set_aside.and_then(|()| memory::reserve(SOCKET_BYTES)).is_err() {
        // Close before the 101 leaves, so that the client sees a failed handshake.
        shared.discard(upgrade);
        return;
    }
    let (state, task) = upgrade.open(shared, upgraded.place.server.shard.now());
    // The 101 becomes the first output of the WebSocket, so it precedes every frame.
    let head = std::mem::take(&mut upgraded.head);
    state.duplex().lend_buffer(|| head);
    spawn_detached(serve(upgraded.connected, upgraded.place, Rc::clone(&state), task));
}
