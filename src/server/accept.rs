//! One shard's accept loop: it gives each connection a task, until a graceful stop.
//!
//! After the stop begins, it still serves the connections that wait in the backlog.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use squall_shards::{GateGuard, Listener, Stop, Stream, spawn_detached};

use super::accepted::{Accepted, Entry};
use super::proxied;
use super::serve::{serve, serve_accepted};
use super::shard::ShardServer;
#[cfg(feature = "rustls")]
use super::tls::entry as tls_entry;
use crate::memory;
use crate::transport::socket::Socket;

/// How many connections are accepted between two memory checks. 64: their first allocations fit the headroom many times
/// over.
const CONNECTIONS_PER_MEMORY_CHECK: usize = 64;

/// How much the tables of a shard may grow for one more connection, in bytes: an entry takes 250, and a full table
/// doubles.
const TABLE_BYTES_PER_CONNECTION: usize = 512;

/// The shortest time between two log lines about a full shard. 10 s: an operator sees soon enough whether it lasts.
const FULL_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Checks memory before connections are accepted.
struct Admission {
    /// How many connections may follow before the next check.
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

    /// Returns whether one more connection fits, where `open` are open.
    fn admits(&mut self, open: usize) -> bool {
        if self.left == 0 {
            if !memory::has_headroom(open * TABLE_BYTES_PER_CONNECTION) {
                // Logged once, however many connections are refused.
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!(open, "memory is short; new connections are answered 503");
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

/// Limits the log lines about a full shard, because a peer can fill a shard again and again.
struct FullLog {
    logged_at: Option<Instant>,
    /// How often the shard has become full since the last log line.
    unlogged: u64,
}

impl FullLog {
    const fn new() -> Self {
        Self {
            logged_at: None,
            unlogged: 0,
        }
    }

    /// Notes that the shard is full; if a log line is due, returns how often it was full without one.
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

/// Accepts connections until the shard stops, then serves those in the backlog and closes the listener.
///
/// # Errors
///
/// The listening socket is broken.
pub(super) async fn accept(listener: Listener, entry: Entry, server: Rc<ShardServer>) -> std::io::Result<()> {
    listener.shed_with(entry.overload_response());
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
            let connections_max = server.config.own.max_connections;
            tracing::warn!(
                connections_max,
                times_unlogged,
                "the shard is full; new connections wait in the backlog; raise --max-connections"
            );
        }
        // This connection waits here, later ones in the backlog. A stop meanwhile ends the wait, and all of them are served.
        unless_stopped(Stop::Graceful, &server, server.wait_for_capacity()).await;
        start(stream, entry, &server);
    }
    server.begin_draining();
    let mut serve_late = |stream| {
        if admission.admits(server.gate.count()) {
            start(stream, entry, &server);
        }
    };
    // The first call refuses new connections; those that clients have begun are still served.
    while let Some(stream) = unless_stopped(Stop::Now, &server, listener.accept_last())
        .await
        .flatten()
    {
        serve_late(stream);
    }
    listener.drain().await.into_iter().for_each(serve_late);
    Ok(())
}

/// Returns what `wait` returns, or `None` if the shard must stop first, in this way or a more urgent one.
async fn unless_stopped<T>(stop: Stop, server: &ShardServer, wait: impl Future<Output = T>) -> Option<T> {
    let mut wait = pin!(wait);
    let mut stopping = pin!(server.shard.stopping(stop));
    poll_fn(|cx| match wait.as_mut().poll(cx) {
        Poll::Ready(given) => Poll::Ready(Some(given)),
        Poll::Pending => stopping.as_mut().poll(cx).map(|_| None),
    })
    .await
}

fn start(stream: Stream, entry: Entry, server: &Rc<ShardServer>) {
    let Ok(guard) = server.gate.enter() else { return };
    let server = Rc::clone(server);
    match entry {
        _ if server.config.own.proxy_protocol => spawn_detached(start_proxied(stream, entry, server, guard)),
        Entry::Plain => spawn_detached(serve(Socket::from(stream), server, guard)),
        #[cfg(feature = "rustls")]
        Entry::Tls => spawn_detached(tls_entry::accept(stream.into(), server, guard)),
    }
}

/// Serves a connection that may begin with the PROXY protocol.
async fn start_proxied(stream: Stream, entry: Entry, server: Rc<ShardServer>, guard: GateGuard) {
    let Some(accepted) = proxied::accept(stream, &server).await else {
        return;
    };
    begin(accepted, entry, server, guard).await;
}

/// Serves a connection from its first byte that no proxy has sent.
async fn begin(accepted: Accepted, entry: Entry, server: Rc<ShardServer>, guard: GateGuard) {
    match entry {
        Entry::Plain => serve_accepted(accepted, server, guard).await,
        #[cfg(feature = "rustls")]
        Entry::Tls => tls_entry::accept(accepted, server, guard).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_is_full_again_and_again_is_logged_at_intervals() {
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
