//! One shard's accept loop: connections in, a task each, until the graceful stop; then those that were already waiting.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use squall_shards::{Listener, Stop, Stream, spawn_detached};

use super::connection::serve;
use super::shard::ShardServer;
use crate::memory;

/// How many connections are let in between two looks at the memory: what they all take to begin with is a fraction of the headroom.
const CONNECTIONS_A_LOOK: usize = 64;

/// What one more connection may make the tables of a shard grow by: they double when they are full, and hold some 250 bytes for each.
const TABLE_BYTES_A_CONNECTION: usize = 512;

/// What a client is told when the process has no descriptor or no memory left for it (rows H01 and H14).
const FAREWELL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 34\r\nConnection: close\r\nRetry-After: 1\r\n\r\n503: no connection is free for now";

/// Sees that there is memory for connections before they are let in.
struct Admission {
    /// How many may still come before the next look.
    left: usize,
    is_short: bool,
}

impl Admission {
    const fn new() -> Self {
        Self {
            left: 0,
            is_short: false,
        }
    }

    /// Whether one more may come, where so many are open.
    fn admits(&mut self, open: usize) -> bool {
        if self.left == 0 {
            if !memory::has_headroom(open * TABLE_BYTES_A_CONNECTION) {
                // Said once, however many are turned away.
                if !std::mem::replace(&mut self.is_short, true) {
                    tracing::warn!(open, "there is no memory for more connections; new ones are told 503");
                }
                return false;
            }
            self.is_short = false;
            self.left = CONNECTIONS_A_LOOK;
        }
        self.left -= 1;
        true
    }
}

/// Accepts until the shard is asked to stop, then serves what waits in the backlog and closes the listener.
///
/// # Errors
///
/// The listening socket is broken.
pub(super) async fn accept(listener: Listener, server: Rc<ShardServer>) -> std::io::Result<()> {
    listener.shed_with(FAREWELL);
    let connections_max = server.config.connections_per_shard_max;
    let mut admission = Admission::new();
    while let Some(stream) = next(&listener, &server).await? {
        if !admission.admits(server.gate.count()) {
            listener.shed(stream);
            continue;
        }
        start(stream, &server);
        if server.gate.count() >= connections_max {
            tracing::warn!(
                connections_max,
                "a shard has all the connections it may have; new ones wait"
            );
            server.below(connections_max).await;
        }
    }
    for stream in listener.drain().await {
        if admission.admits(server.gate.count()) {
            start(stream, &server);
        }
    }
    Ok(())
}

/// The next connection; `None` when the shard is to stop.
async fn next(listener: &Listener, server: &ShardServer) -> std::io::Result<Option<Stream>> {
    let mut accepted = pin!(listener.accept());
    let mut stopping = pin!(server.shard.stopping(Stop::Graceful));
    poll_fn(|cx| match accepted.as_mut().poll(cx) {
        Poll::Ready(accepted) => Poll::Ready(accepted.map(Some)),
        Poll::Pending => stopping.as_mut().poll(cx).map(|_| Ok(None)),
    })
    .await
}

fn start(stream: Stream, server: &Rc<ShardServer>) {
    if let Ok(guard) = server.gate.enter() {
        spawn_detached(serve(stream, Rc::clone(server), guard));
    }
}
