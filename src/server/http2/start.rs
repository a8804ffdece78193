//! The step from HTTP/1 to HTTP/2: a connection whose first line is that of the preface (RFC 9113 §3.3).
//!
//! HTTP/1 refuses that line for its version, so no other request pays for the look. The socket, the unread input and the
//! rest go to a new task, and the machine checks the whole preface.

use std::rc::Rc;
use std::time::Instant;

use squall_shards::{Deadline, GateGuard, spawn_detached};

use super::connection::Connection;
use super::wire::Wire;
use crate::app::Peer;
use crate::memory;
use crate::server::shard::ShardServer;
use crate::transport::input::Input;
use crate::transport::socket::Socket;

/// The first line of the preface.
pub(in crate::server) const FIRST_LINE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// What a connection of HTTP/2 allocates without a check, its task and its machine, rounded up. 4 KiB.
const CONNECTION_BYTES: usize = 4 * 1024;

/// What a connection of HTTP/2 begins with: what remains of one of HTTP/1, or a socket of TLS.
pub(in crate::server) struct Switched {
    pub(in crate::server) socket: Socket,
    pub(in crate::server) input: Input,
    pub(in crate::server) timer: Deadline,
    pub(in crate::server) input_ended: bool,
    pub(in crate::server) peer: Option<Peer>,
    pub(in crate::server) server: Rc<ShardServer>,
    pub(in crate::server) guard: GateGuard,
    /// Since when the preface is awaited: one clock runs for all of it.
    pub(in crate::server) since: Instant,
}

impl Switched {
    /// Makes what a connection begins with that has chosen HTTP/2 in its TLS handshake.
    #[cfg(feature = "rustls")]
    pub(in crate::server) fn new(
        socket: Socket,
        peer: Option<Peer>,
        server: Rc<ShardServer>,
        guard: GateGuard,
    ) -> Self {
        Self {
            socket,
            input: Input::default(),
            timer: Deadline::new(),
            input_ended: false,
            peer,
            since: server.shard.now(),
            server,
            guard,
        }
    }
}

/// Starts the task of a connection.
pub(in crate::server) fn start(switched: Switched) {
    let Switched {
        socket,
        mut input,
        timer,
        input_ended,
        peer,
        server,
        guard,
        since,
    } = switched;
    let set_aside = input.set_aside(&socket);
    if set_aside.and_then(|()| memory::reserve(CONNECTION_BYTES)).is_err() {
        return;
    }
    let wire = Wire::new(socket, input, timer, input_ended, peer);
    let connection = Connection::new(wire, server, guard, since);
    spawn_detached(connection.serve());
}
