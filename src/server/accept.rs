//! One shard's accept loop: connections in, a task each, until the graceful stop; then those that were already waiting.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use squall_shards::{Listener, Stop, Stream, spawn_detached};

use super::connection::serve;
use super::shard::ShardServer;

/// What a client is told when the process has no descriptor left for it (row H01).
const FAREWELL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 33\r\nConnection: close\r\nRetry-After: 1\r\n\r\n503: no connection is free for now";

/// Accepts until the shard is asked to stop, then serves what waits in the backlog and closes the listener.
///
/// # Errors
///
/// The listening socket is broken.
pub(super) async fn accept(listener: Listener, server: Rc<ShardServer>) -> std::io::Result<()> {
    listener.shed_with(FAREWELL);
    let connections_max = server.config.connections_per_shard_max;
    while let Some(stream) = next(&listener, &server).await? {
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
        start(stream, &server);
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
