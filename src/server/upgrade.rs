//! The step from HTTP to a WebSocket: the connection's socket, what it has received and what it has still to send go to a new task, and
//! the HTTP task ends, so that an idle WebSocket keeps nothing of HTTP's memory.
//!
//! Invariant: no byte is lost on the way. Frames that came behind the request are read first, and the 101 goes out before any frame
//! (RFC 6455 §4.2.2).

use std::rc::Rc;

use squall_shards::spawn_detached;

use super::connection::Connection;
use super::websocket::serve;

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
    if connection.input.stash(&connection.stream).is_err() {
        connection.server.app.discard(upgrade);
        return;
    }
    let (link, session) = upgrade.open(&connection.server.app, connection.server.shard.now());
    let head = std::mem::take(&mut connection.output);
    link.lend_buffer(|| head);
    spawn_detached(serve(connection, Rc::clone(&link), session));
}
