//! A WebSocket over a stream of HTTP/2 (RFC 8441). The handler, the protocol machine and the driver are those of every
//! WebSocket, over a tunnel in place of a socket.
//!
//! The stream's window bounds what waits for a handler that is busy. `END_STREAM` is the end of a socket, and
//! RST_STREAM(CANCEL) its reset. The place among the connection's streams stays taken until the handler has ended.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use squall_shards::{Deadline, PeerEnd, Received, SendBuffer, Sent, spawn_detached};

use crate::app::{BodyError, ExchangeTask, Tunnel};
use crate::memory;
use crate::server::shard::ShardServer;
use crate::server::websocket::{Place, serve};
use crate::transport::byte_stream::{Buffers, ByteStream};
use crate::transport::input::Input;
use crate::transport::websocket::Connected;

/// What a WebSocket allocates without a check, its task and its handler, rounded up. 4 KiB.
const SOCKET_BYTES: usize = 4 * 1024;

/// Starts the task that serves the WebSocket of an exchange that has accepted one.
///
/// Without memory the stream is reset, so that the client sees a failed handshake.
pub(super) fn start(server: &Rc<ShardServer>, task: ExchangeTask) {
    if memory::reserve(SOCKET_BYTES).is_err() {
        tracing::warn!("refused a WebSocket: out of memory");
        // The drop of the task tells the connection that the response is incomplete.
        return;
    }
    let (mut exchange, tunnel, guard) = task.into_tunnel();
    let upgrade = exchange.take_upgrade();
    exchange.reset();
    server.return_exchange(exchange);
    let Some(upgrade) = upgrade else { return };
    let (state, task) = upgrade.open(server.app.shared(), server.shard.now());
    let connected = Connected {
        socket: tunnel,
        input: Input::default(),
        input_ended: false,
        peer_has_finished: false,
        deadline: Deadline::new(),
    };
    let place = Place::new(Rc::clone(server), server.register(), guard);
    spawn_detached(serve(connected, place, state, task));
}

/// A tunnel has no pool: its buffers come and go with the flushes of its exchange.
impl Buffers for Tunnel {
    fn take_buffer(&self) -> Vec<u8> {
        Vec::new()
    }

    fn return_buffer(&self, _: Vec<u8>) {}
}

impl ByteStream for Tunnel {
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Received>>> {
        let polled = self.poll_receive(cx.waker());
        polled.map(|received| match received {
            Ok(bytes) => Ok(bytes.map(|bytes| Received::from(Vec::from(bytes)))),
            Err(BodyError::OutOfMemory) => Err(io::ErrorKind::OutOfMemory.into()),
            Err(_) => Err(io::ErrorKind::ConnectionReset.into()),
        })
    }

    fn start_send(&self, buffer: SendBuffer) -> io::Result<()> {
        self.start_send(into_vec(buffer)?);
        Ok(())
    }

    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.poll_sent(cx.waker());
        polled.map(|sent| sent.map(drop).map_err(|_| io::ErrorKind::ConnectionReset.into()))
    }

    /// The machine resets a stream that makes no progress, and the connection watches its socket.
    fn sent(&self) -> Option<Sent> {
        None
    }

    fn unacknowledged_bytes(&self) -> u64 {
        0
    }

    fn has_arrived(&self) -> bool {
        self.is_sent()
    }

    fn poll_peer_end(&self, cx: &mut Context<'_>) -> Poll<PeerEnd> {
        self.poll_peer_gone(cx.waker()).map(|()| PeerEnd::Gone)
    }

    fn announce_end(&self) {}

    fn shutdown_write(&self) -> io::Result<()> {
        self.shut_down();
        Ok(())
    }

    /// The drop of a tunnel resets what is open.
    fn give_up(&self) {}
}

/// Joins a send into one buffer, which the connection copies into its output.
fn into_vec(buffer: SendBuffer) -> io::Result<Vec<u8>> {
    let parts = match buffer {
        SendBuffer::Owned(bytes) => return Ok(bytes),
        SendBuffer::Shared(bytes) => vec![bytes],
        SendBuffer::Vectored(parts) => parts,
    };
    let mut joined = Vec::new();
    for part in parts {
        memory::append(&mut joined, &part).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    }
    Ok(joined)
}
