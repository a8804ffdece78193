//! A shard's listening socket, and what it does when the process runs out of descriptors.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::net::SendFlags;

use super::address_lock::AddressLock;
use super::bound_socket::{BoundSocket, SocketFile};
use super::stream::{Socket as StreamSocket, Stream};
use crate::balance::bpf;
use crate::balance::reuseport::ReuseportGroup;
use crate::clock;
use crate::driver::{Reactor, epoll, io_uring};
use crate::os::sys;
use crate::shard::context::ShardContext;
use crate::time::{sleep, timeout_at};

/// The first pause of accepting when descriptors or memory run out; doubled up to [`PAUSE_MAX`]. A freed descriptor
/// ends it early.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause: clients in the backlog wait at most this long for the next attempt.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How many waiting clients get the overload response per pause.
const SHED_AT_ONCE_MAX: usize = 16;

/// How many connections of the backlog a graceful stop takes over. Clients that connect faster than they are taken must
/// not keep it from ending.
const DRAINED_MAX: usize = 65_536;

/// How long a closing listener accepts clients whose handshake has begun. 250 ms: the last segment of a handshake
/// crosses the world in that time.
const HANDSHAKE_TIME: Duration = Duration::from_millis(250);

/// A listening socket of the shard that opened it.
pub struct Listener {
    /// The file of a Unix socket that this process has bound. Dropped before the socket.
    file: Option<Arc<SocketFile>>,
    socket: Socket,
    /// The listeners among which the kernel distributes connections; `None` if all shards accept from one queue.
    reuseport_group: Option<Arc<ReuseportGroup>>,
    #[expect(dead_code, reason = "the lock is held while the listener is open")]
    lock: Option<Arc<AddressLock>>,
    /// Whether another process holds the socket too.
    is_inherited: bool,
    pause: Cell<Duration>,
    shedding: RefCell<Option<Shedding>>,
    shed: Cell<u64>,
    /// Until when a closing listener accepts handshakes that had begun.
    closes_at: Cell<Option<Instant>>,
}

/// A handle to the socket in the shard's driver; dropping it ends accepting and closes accepted connections that were not
/// taken.
enum Socket {
    Ring(io_uring::ListenerSocket),
    Epoll(epoll::ListenerSocket),
}

/// How clients are turned away when the process is out of descriptors.
#[derive(Debug)]
struct Shedding {
    /// Written to each client before it is closed, such as a whole `503` response.
    overload_response: &'static [u8],
    /// A spare descriptor, closed to accept a client and answer it.
    reserve: Option<OwnedFd>,
}

impl Listener {
    pub(super) fn new(
        shard: &Rc<ShardContext>,
        bound: BoundSocket,
        reuseport_group: Option<Arc<ReuseportGroup>>,
        lock: Option<Arc<AddressLock>>,
        is_inherited: bool,
    ) -> Self {
        let BoundSocket { file, socket } = bound;
        let socket = match shard.reactor() {
            Reactor::Ring(ring) => {
                if is_inherited {
                    // The ring does the waiting; on a non-blocking socket its accepts would fail instead. The mode is that
                    // of all processes with this socket, which use the same driver.
                    let blocking = rustix::io::ioctl_fionbio(&socket, false);
                    debug_assert!(blocking.is_ok(), "a socket we own takes a flag: {blocking:?}");
                }
                Socket::Ring(io_uring::ListenerSocket::new(ring, socket))
            }
            Reactor::Epoll(epoll) => Socket::Epoll(epoll::ListenerSocket::new(epoll, socket)),
        };
        Self {
            file,
            socket,
            reuseport_group,
            lock,
            is_inherited,
            pause: Cell::new(PAUSE_MIN),
            shedding: RefCell::new(None),
            shed: Cell::new(0),
            closes_at: Cell::new(None),
        }
    }

    /// Turns clients away with `overload_response` while the process is out of descriptors, instead of leaving them
    /// waiting.
    ///
    /// A listener that shares its queue with all shards leaves them waiting. [`shed`](Self::shed) sends the same
    /// response.
    pub fn shed_with(&self, overload_response: &'static [u8]) {
        *self.shedding.borrow_mut() = Some(Shedding {
            overload_response,
            reserve: reserve(),
        });
    }

    /// Turns an accepted client away, with the overload response if one is set.
    pub fn shed(&self, client: Stream) {
        if let Some(shedding) = &*self.shedding.borrow() {
            client
                .with_descriptor(|client| say(client, shedding.overload_response))
                .unwrap_or_default();
        }
        self.shed.set(self.shed.get() + 1);
    }

    /// Returns how many clients were turned away.
    #[must_use]
    pub fn shed_count(&self) -> u64 {
        self.shed.get()
    }

    /// Waits for a connection.
    ///
    /// Out of descriptors or memory, it pauses (10 ms, doubled up to 1 s) and continues as soon as one is freed.
    ///
    /// Cancel safety: safe; a connection that arrived is returned by the next call.
    ///
    /// # Errors
    ///
    /// The socket is broken; it accepts no further connections.
    pub async fn accept(&self) -> io::Result<Stream> {
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(socket) => {
                    self.pause.set(PAUSE_MIN);
                    return Ok(self.stream(socket));
                }
                Err(error) if is_exhaustion(&error) => {
                    self.shed_waiting();
                    if let Some(stream) = self.wait_out(&error).await {
                        return Ok(stream);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the pause is over, or returns a connection accepted because a descriptor was freed.
    async fn wait_out(&self, error: &io::Error) -> Option<Stream> {
        let pause = self.pause.get();
        self.pause.set((pause * 2).min(PAUSE_MAX));
        if pause >= PAUSE_MAX {
            tracing::warn!(%error, "paused accepting; raise the limit of open files (ulimit -n) or lower the connection limit");
        }
        let mut pause = pin!(sleep(pause));
        // If this future is dropped the pause ends too: the next call asks the kernel again.
        let _over = PauseOver(self);
        let socket = poll_fn(|cx| {
            loop {
                match self.poll_accept(cx) {
                    Poll::Ready(Ok(socket)) => return Poll::Ready(Some(socket)),
                    // Tried for a freed descriptor and found none: the pause continues. Polled again, so that the next
                    // freed one is noticed.
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => return pause.as_mut().poll(cx).map(|()| None),
                }
            }
        })
        .await;
        socket.map(|socket| self.stream(socket))
    }

    /// Sends waiting clients the overload response, through the spare descriptor.
    fn shed_waiting(&self) {
        let mut shedding = self.shedding.borrow_mut();
        let Some(shedding) = shedding.as_mut().filter(|_| self.reuseport_group.is_some()) else {
            return;
        };
        // Closed first: its number is what the accept below needs.
        shedding.reserve = None;
        let waiting = sys::queued_connections(self.as_fd())
            .into_iter()
            .flatten()
            .map_while(Result::ok);
        for client in waiting.take(SHED_AT_ONCE_MAX) {
            say(client.as_fd(), shedding.overload_response);
            self.shed.set(self.shed.get() + 1);
        }
        // `queued_connections` has made the socket non-blocking; the ring waits by itself and needs it blocking.
        let needs_blocking = matches!(self.socket, Socket::Ring(_));
        let restored = rustix::io::ioctl_fionbio(self.as_fd(), !needs_blocking);
        debug_assert!(restored.is_ok(), "a socket we own takes a flag: {restored:?}");
        shedding.reserve = reserve();
    }

    /// Waits for the next client that had connected, or begun to, when this was first called.
    ///
    /// `None` after 250 ms; then call [`drain`](Self::drain). From the first call on the kernel drops new handshakes.
    /// Their clients retry a second later and find the next server process, or none. A listener closed without this
    /// resets connections that the process does not know of yet. `None` at once if the listener shares its queue, or
    /// the kernel cannot drop new handshakes.
    ///
    /// Cancel safety: safe, as [`accept`](Self::accept).
    pub async fn accept_last(&self) -> Option<Stream> {
        let closes_at = self.closes_at.get().unwrap_or_else(|| self.begin_closing());
        self.closes_at.set(Some(closes_at));
        if clock::now() >= closes_at {
            return None;
        }
        timeout_at(closes_at, self.accept()).await?.ok()
    }

    /// Makes the kernel drop new handshakes; returns until when to accept those that had begun.
    fn begin_closing(&self) -> Instant {
        let now = clock::now();
        let Some(reuseport_group) = &self.reuseport_group else {
            return now;
        };
        reuseport_group.end();
        match bpf::refuse_new_connections(self.as_fd()) {
            Ok(()) => now + HANDSHAKE_TIME,
            Err(error) => {
                tracing::debug!(%error, "could not filter new connections: clients connecting during the stop may be reset");
                now
            }
        }
    }

    /// Stops accepting, returns every connection accepted or waiting in the backlog, and closes the listener.
    ///
    /// A graceful stop serves these (at most 65,536 of the backlog): their clients are already connected. The backlog of
    /// an inherited listener stays for the next process that accepts from it. The last listener of a Unix socket removes its
    /// file first, so that the backlog gets no further clients.
    ///
    /// Cancel safety: dropping the future closes the listener and resets the connections not returned.
    pub async fn drain(mut self) -> Vec<Stream> {
        drop(self.file.take());
        let mut streams = Vec::new();
        // epoll accepts one at a time, on request, so nothing is on its way.
        if let Socket::Ring(listener) = &self.socket {
            poll_fn(|cx| listener.poll_quiet(cx)).await;
            while let Some(socket) = listener.take_accepted() {
                streams.push(self.stream(socket));
            }
        }
        // The mode belongs to the other process's listener too, whose accepts must go on waiting.
        if self.is_inherited {
            return streams;
        }
        // The listener may stay non-blocking: no accept waits on it any more, and shards that share it are all draining
        // it.
        if let Ok(waiting) = sys::queued_connections(self.as_fd()) {
            streams.extend(
                waiting
                    .map_while(Result::ok)
                    .take(DRAINED_MAX)
                    .map(|socket| self.stream(socket)),
            );
        }
        streams
    }

    /// Takes the next accepted socket; after an error the next call retries, and out of descriptors once one is freed.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        match &self.socket {
            Socket::Ring(listener) => listener.poll_accept(cx),
            Socket::Epoll(listener) => listener.poll_accept(cx),
        }
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Ring(listener) => listener.as_fd(),
            Socket::Epoll(listener) => listener.as_fd(),
        }
    }

    fn stream(&self, socket: OwnedFd) -> Stream {
        Stream(match &self.socket {
            Socket::Ring(listener) => StreamSocket::Ring(io_uring::StreamSocket::new(listener.ring(), socket)),
            Socket::Epoll(listener) => StreamSocket::Epoll(epoll::StreamSocket::new(listener.epoll(), socket)),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(reuseport_group) = &self.reuseport_group {
            reuseport_group.end();
        }
    }
}

/// Ends a pause of accepting when dropped, however the wait ends.
struct PauseOver<'a>(&'a Listener);

impl Drop for PauseOver<'_> {
    fn drop(&mut self) {
        match &self.0.socket {
            Socket::Ring(listener) => listener.retry(),
            Socket::Epoll(listener) => listener.retry(),
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Listener")
            .field("shared", &self.reuseport_group.is_none())
            .finish_non_exhaustive()
    }
}

/// Sends the overload response. It fits an empty send buffer; a client that is already gone does not matter.
fn say(client: BorrowedFd<'_>, overload_response: &[u8]) {
    rustix::net::send(client, overload_response, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).unwrap_or_default();
}

/// Opens a spare descriptor; any file serves, because it is only closed.
fn reserve() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}
