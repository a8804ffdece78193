//! One shard's accept loop: connections in, a task each, until the graceful stop; then those that were already waiting.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use squall_shards::{Listener, Stop, Stream, spawn_detached};

use super::connection::serve;
use super::shard::ShardServer;
use crate::memory;

/// How many connections are let in between two looks at the memory: what they all take to begin with is a fraction of the headroom.
const CONNECTIONS_PER_MEMORY_CHECK: usize = 64;

/// What one more connection may make the tables of a shard grow by: they double when they are full, and hold some 250 bytes for each.
const TABLE_BYTES_PER_CONNECTION: usize = 512;

/// How often the log says at most that a shard has all its connections. 10 s: often enough for whoever looks whether it still has.
const FULL_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What a client is told when the process has no descriptor or no memory left for it (rows H01 and H14).
const OVERLOAD_RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 34\r\nConnection: close\r\nRetry-After: 1\r\n\r\n503: no connection is free for now";

/// Sees that there is memory for connections before they are let in.
struct Admission {
    /// How many may still come before the next look.
    left: usize,
    has_warned: bool,
}

impl Admission {
    const fn new() -> Self {
        Self {
            left: 0,
            has_warned: false,
        }
    }

    /// Whether one more may come, where so many are open.
    fn admits(&mut self, open: usize) -> bool {
        if self.left == 0 {
            if !memory::has_headroom(open * TABLE_BYTES_PER_CONNECTION) {
                // Said once, however many are turned away.
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!(open, "there is no memory for more connections; new ones are told 503");
                }
                return false;
            }
            self.has_warned = false;
            self.left = CONNECTIONS_PER_MEMORY_CHECK;
        }
        self.left -= 1;
        true
    }
}

/// Says that a shard has all the connections it may have: not for each that reaches the limit, which a peer could do at will.
struct FullLog {
    logged_at: Option<Instant>,
    /// How often the limit was reached since.
    unlogged: u64,
}

impl FullLog {
    const fn new() -> Self {
        Self {
            logged_at: None,
            unlogged: 0,
        }
    }

    /// The limit is reached; gives how often it was before without being said, if it is time to say it.
    fn reached(&mut self, now: Instant) -> Option<u64> {
        let is_due = self
            .logged_at
            .is_none_or(|logged_at| now >= logged_at + FULL_LOG_INTERVAL);
        if is_due {
            self.logged_at = Some(now);
            return Some(std::mem::take(&mut self.unlogged));
        }
        self.unlogged += 1;
        None
    }
}

/// Accepts as long as there is room and until the shard is asked to stop, then serves what waits in the backlog and closes the listener.
///
/// # Errors
///
/// The listening socket is broken.
pub(super) async fn accept(listener: Listener, server: Rc<ShardServer>) -> std::io::Result<()> {
    listener.shed_with(OVERLOAD_RESPONSE);
    let (mut admission, mut full) = (Admission::new(), FullLog::new());
    while let Some(stream) = unless_stopped(Stop::Graceful, &server, listener.accept())
        .await
        .transpose()?
    {
        if !admission.admits(server.gate.count()) {
            listener.shed(stream);
            continue;
        }
        if server.is_full()
            && let Some(times_unlogged) = full.reached(server.shard.now())
        {
            let connections_max = server.config.connections_per_shard_max;
            tracing::warn!(
                connections_max,
                times_unlogged,
                "a shard has all the connections it may have; new ones wait"
            );
        }
        // This one waits here, those behind it in the backlog; a stop that comes meanwhile serves them all.
        unless_stopped(Stop::Graceful, &server, server.wait_for_capacity()).await;
        start(stream, &server);
    }
    server.begin_draining();
    let mut serve_late = |stream| {
        if admission.admits(server.gate.count()) {
            start(stream, &server);
        }
    };
    while let Some(stream) = unless_stopped(Stop::Now, &server, listener.accept_last())
        .await
        .flatten()
    {
        serve_late(stream);
    }
    listener.drain().await.into_iter().for_each(serve_late);
    Ok(())
}

/// What a wait gives; `None` when the shard is to stop before that, in this way or one more urgent.
async fn unless_stopped<T>(stop: Stop, server: &ShardServer, wait: impl Future<Output = T>) -> Option<T> {
    let mut wait = pin!(wait);
    let mut stopping = pin!(server.shard.stopping(stop));
    poll_fn(|cx| match wait.as_mut().poll(cx) {
        Poll::Ready(given) => Poll::Ready(Some(given)),
        Poll::Pending => stopping.as_mut().poll(cx).map(|_| None),
    })
    .await
}

fn start(stream: Stream, server: &Rc<ShardServer>) {
    if let Ok(guard) = server.gate.enter() {
        spawn_detached(serve(stream, Rc::clone(server), guard));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_reached_again_and_again_is_said_now_and_then() {
        #[expect(clippy::disallowed_methods, reason = "any moment will do as the origin of a test")]
        let start = Instant::now();
        let mut full = FullLog::new();
        assert_eq!(full.reached(start), Some(0));
        for _ in 0..1000 {
            assert_eq!(full.reached(start + FULL_LOG_INTERVAL / 2), None);
        }
        assert_eq!(full.reached(start + FULL_LOG_INTERVAL), Some(1000));
        assert_eq!(full.reached(start + FULL_LOG_INTERVAL), None);
    }
}
