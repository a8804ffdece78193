//! One shard's listening socket, and what it does when the process has run out of descriptors.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::net::SendFlags;

use super::stream::Stream;
use crate::balance::bpf;
use crate::balance::reuseport::ReuseportGroup;
use crate::clock;
use crate::driver::{ListenerSocket, StreamSocket};
use crate::os::sys;
use crate::shard::shard::ShardContext;
use crate::time::{sleep, timeout_at};

/// The first pause after accepting has failed for want of descriptors or memory; doubled up to [`PAUSE_MAX`]. A closed descriptor
/// ends it early.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause: clients that wait in the backlog are looked at this often at least.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How many waiting clients are turned away with a farewell at one pause.
const SHED_AT_ONCE_MAX: usize = 16;

/// How many connections waiting in the backlog a graceful stop takes over; clients that connect faster than they are taken out
/// must not keep it from ending.
const DRAINED_MAX: usize = 65_536;

/// How long a listener that is about to close takes in clients whose handshake has begun: what they sent last crosses the world in a
/// quarter of a second.
const HANDSHAKE_TIME: Duration = Duration::from_millis(250);

/// A listening socket of the calling shard.
pub struct Listener {
    socket: ListenerSocket,
    /// Over which listeners new connections are spread; `None` where all shards accept from the same queue.
    reuseport_group: Option<Arc<ReuseportGroup>>,
    pause: Cell<Duration>,
    shedding: RefCell<Option<Shedding>>,
    shed: Cell<u64>,
    /// Until when those are taken in who had begun to connect when the listener began to close.
    closes_at: Cell<Option<Instant>>,
}

/// How clients are turned away when no descriptor is left for them.
#[derive(Debug)]
struct Shedding {
    /// Written to each before it is closed, such as a whole `503` response.
    farewell: &'static [u8],
    /// A descriptor held back, so that there is one to answer with.
    reserve: Option<OwnedFd>,
}

impl Listener {
    pub(crate) fn new(shard: &Rc<ShardContext>, socket: OwnedFd, reuseport_group: Option<Arc<ReuseportGroup>>) -> Self {
        let socket = ListenerSocket::new(shard.reactor(), socket);
        Self {
            socket,
            reuseport_group,
            pause: Cell::new(PAUSE_MIN),
            shedding: RefCell::new(None),
            shed: Cell::new(0),
            closes_at: Cell::new(None),
        }
    }

    /// Turns clients away with `farewell` while the process is out of descriptors, instead of leaving them in the backlog; in a listener
    /// whose queue is shared by all shards they are left there. [`shed`](Self::shed) says it too.
    pub fn shed_with(&self, farewell: &'static [u8]) {
        *self.shedding.borrow_mut() = Some(Shedding {
            farewell,
            reserve: reserve(),
        });
    }

    /// Turns a client away that has been accepted, with the farewell if there is one.
    pub fn shed(&self, client: Stream) {
        if let Some(shedding) = &*self.shedding.borrow() {
            client
                .socket
                .with_descriptor(|client| say(client, shedding.farewell))
                .unwrap_or_default();
        }
        self.shed.set(self.shed.get() + 1);
    }

    /// How many clients were turned away.
    #[must_use]
    pub fn shed_count(&self) -> u64 {
        self.shed.get()
    }

    /// Waits for a connection. Running out of descriptors or memory is not an error: it pauses, and goes on as soon as one is freed.
    ///
    /// Cancel safety: no connection is lost; one that has come in is there at the next call.
    ///
    /// # Errors
    ///
    /// The socket itself is broken; there will be no more connections.
    pub async fn accept(&self) -> io::Result<Stream> {
        loop {
            match poll_fn(|cx| self.socket.poll_accept(cx)).await {
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

    /// Waits for the pause to pass or for a connection to come in all the same, which one does once a descriptor is freed.
    async fn wait_out(&self, error: &io::Error) -> Option<Stream> {
        let pause = self.pause.get();
        self.pause.set((pause * 2).min(PAUSE_MAX));
        if pause >= PAUSE_MAX {
            tracing::warn!(%error, "accepting pauses; raise the limit of open files (ulimit -n) or lower the connection limit");
        }
        let mut pause = pin!(sleep(pause));
        // Given up, the pause is over too: the next call asks the kernel anew.
        let _over = PauseOver(&self.socket);
        let socket = poll_fn(|cx| {
            loop {
                match self.socket.poll_accept(cx) {
                    Poll::Ready(Ok(socket)) => return Poll::Ready(Some(socket)),
                    // Tried again for a freed descriptor and found none: the pause goes on. Polled once more, so that the next
                    // freed one is seen too.
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => return pause.as_mut().poll(cx).map(|()| None),
                }
            }
        })
        .await;
        socket.map(|socket| self.stream(socket))
    }

    /// Answers some of the waiting clients with the farewell, through the descriptor held back for this.
    fn shed_waiting(&self) {
        let mut shedding = self.shedding.borrow_mut();
        let Some(shedding) = shedding.as_mut().filter(|_| self.reuseport_group.is_some()) else {
            return;
        };
        shedding.reserve = None;
        let waiting = sys::queued_connections(self.socket.as_fd())
            .into_iter()
            .flatten()
            .map_while(Result::ok);
        for client in waiting.take(SHED_AT_ONCE_MAX) {
            say(client.as_fd(), shedding.farewell);
            self.shed.set(self.shed.get() + 1);
        }
        let restored = rustix::io::ioctl_fionbio(self.socket.as_fd(), !self.socket.is_blocking());
        debug_assert!(restored.is_ok(), "a socket we own takes a flag: {restored:?}");
        shedding.reserve = reserve();
    }

    /// The next of those who had a connection, or had begun to connect, when this was first called; `None` after a quarter of a second, when
    /// it is time to [`drain`](Self::drain). Nobody else gets in from then on: a client that comes is not answered, asks again a second
    /// later, and finds another generation of the server or nobody. Closed without this, a listener resets connections of whose existence it
    /// has not heard yet. `None` at once where the listener shares its queue, or the kernel cannot keep new clients out.
    ///
    /// Cancel safety: as [`accept`](Self::accept).
    pub async fn accept_last(&self) -> Option<Stream> {
        let closes_at = self.closes_at.get().unwrap_or_else(|| self.begin_closing());
        self.closes_at.set(Some(closes_at));
        if clock::now() >= closes_at {
            return None;
        }
        timeout_at(closes_at, self.accept()).await?.ok()
    }

    /// Keeps new clients out; gives back when those are in who were on their way.
    fn begin_closing(&self) -> Instant {
        let now = clock::now();
        let Some(reuseport_group) = &self.reuseport_group else {
            return now;
        };
        reuseport_group.end();
        match bpf::refuse_new_connections(self.socket.as_fd()) {
            Ok(()) => now + HANDSHAKE_TIME,
            Err(error) => {
                tracing::debug!(%error, "who connects while the listener is closed may be reset");
                now
            }
        }
    }

    /// Stops accepting and gives back every connection that had been accepted, or waited in the backlog, at that moment. Then the
    /// listener closes. A graceful stop serves these: their clients have a connection already.
    pub async fn drain(self) -> Vec<Stream> {
        poll_fn(|cx| self.socket.poll_quiet(cx)).await;
        let mut streams = Vec::new();
        while let Some(socket) = self.socket.take_accepted() {
            streams.push(self.stream(socket));
        }
        // The listener stays non-blocking: nobody waits on it any more, and where shards share it, each of them is draining it.
        if let Ok(waiting) = sys::queued_connections(self.socket.as_fd()) {
            streams.extend(
                waiting
                    .map_while(Result::ok)
                    .take(DRAINED_MAX)
                    .map(|socket| self.stream(socket)),
            );
        }
        streams
    }

    fn stream(&self, socket: OwnedFd) -> Stream {
        Stream::new(StreamSocket::new(&self.socket.reactor(), socket))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(reuseport_group) = &self.reuseport_group {
            reuseport_group.end();
        }
    }
}

/// Ends a pause of accepting, however its wait ends.
struct PauseOver<'a>(&'a ListenerSocket);

impl Drop for PauseOver<'_> {
    fn drop(&mut self) {
        self.0.retry();
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

/// Sends a farewell. It fits an empty send buffer; a client that is gone already is no concern of ours.
fn say(client: BorrowedFd<'_>, farewell: &[u8]) {
    rustix::net::send(client, farewell, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).unwrap_or_default();
}

/// Any descriptor will do; it is only there to be closed.
fn reserve() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}
