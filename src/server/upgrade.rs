//! The step from HTTP to a WebSocket: the connection's socket, what it has received and what it has still to send go to a new task, and
//! the HTTP task ends, so that an idle WebSocket keeps nothing of HTTP's memory.
//!
//! Invariant: no byte is lost on the way. Frames that came behind the request are read first, and the 101 goes out before any frame
//! (RFC 6455 §4.2.2).

use std::rc::Rc;

use squall_shards::spawn_detached;

use super::connection::Connection;
use super::websocket::serve;
use crate::memory;

/// What a WebSocket takes that cannot be refused it, as its task and its handler's, rounded up. 4 KiB.
const SOCKET_BYTES: usize = 4 * 1024;

/// Starts the task that serves the WebSocket a 101 promised.
pub(super) fn start(mut connection: Connection) {
    let Some(mut exchange) = connection.exchange.take() else {
        return;
    };
    let upgrade = exchange.take_upgrade();
    exchange.reset();
    connection.server.return_exchange(exchange);
    // The application lets no 101 pass that comes without one.
    let Some(upgrade) = upgrade else { return };
    let set_aside = connection.input.set_aside(&connection.stream);
    if set_aside.and_then(|()| memory::reserve(SOCKET_BYTES)).is_err() {
        // Cut before the 101 has gone out, so that the client takes it for no more than a broken connection.
        connection.server.app.discard(upgrade);
        return;
    }
    let (link, session) = upgrade.open(&connection.server.app, connection.server.shard.now());
    let head = std::mem::take(&mut connection.output);
    link.lend_buffer(|| head);
    spawn_detached(serve(connection, Rc::clone(&link), session));
}
