//! The epoll driver: sockets whose readiness tokio's current-thread runtime watches, read and written by the shard's own thread.
//!
//! For machines that forbid io_uring, and for comparing the two with everything else the same: tasks, timers' wheel, mesh and all
//! that is above are not the driver's business. tokio is left with what it does well, the registrations and the wait: it blocks
//! in `epoll_wait`, wakes whoever waits for what became ready, and the shard's root future, the turn, goes on.
//!
//! The file order of a byte's way: [`turn`] (what became ready) → [`stream`] (recv(2) into a pooled buffer) → [`received`] (what
//! the task is handed). [`send`] is what is being sent, [`ends`] watches for peers that leave, [`listener`] and [`connect`] are where
//! sockets come from.

mod connect;
mod ends;
mod listener;
mod received;
mod send;
mod stream;
mod turn;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
use tokio::io::unix::AsyncFd;

use crate::message::inbox::Inbox;
use crate::net::buffer_pool::BufferPool;
use crate::os::sys::watch;
use crate::statistics::Statistics;

use ends::Ends;

pub(crate) use connect::Connecting;
pub(crate) use listener::ListenerSocket;
pub(crate) use received::Received;
pub(crate) use stream::StreamSocket;

/// Sizes and habits of an epoll reactor; checked by the builder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EpollConfig {
    /// How much is received at once.
    pub(crate) receive_buffer_bytes: usize,
    /// How long the sockets are watched before the thread sleeps.
    pub(crate) spin: Duration,
}

/// One shard's reactor.
pub(crate) struct Epoll {
    config: EpollConfig,
    /// The eventfd other threads write to.
    wake_event: AsyncFd<OwnedFd>,
    /// Fires at the moment `armed`, at which the sleeping shard must look at its deadlines; moved only when something must happen
    /// earlier than that.
    timer: AsyncFd<OwnedFd>,
    armed: Cell<Option<Instant>>,
    ends: Ends,
    pool: BufferPool,
    /// Buffers to receive into.
    receive_pool: BufferPool,
    streams: Cell<usize>,
    listeners: Cell<usize>,
    /// How many descriptors were freed, and the listeners that wait for one.
    freed: Cell<u64>,
    exhausted: RefCell<Vec<Waker>>,
    counters: Counters,
}

/// What the driver counts; summed into [`Statistics`].
#[derive(Debug, Default)]
struct Counters {
    accepted: Cell<u64>,
    accept_pauses: Cell<u64>,
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get().wrapping_add(1));
}

impl Epoll {
    /// Makes the reactor of the calling thread, inside the runtime that is to watch it.
    ///
    /// # Errors
    ///
    /// No descriptors are left.
    pub(crate) fn new(config: EpollConfig, inbox: &Inbox) -> io::Result<Rc<Self>> {
        let wake_event = inbox.wake_event().try_clone_to_owned()?;
        rustix::io::ioctl_fionbio(&wake_event, true)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Rc::new(Self {
            config,
            wake_event: watch(wake_event).map_err(|(_, error)| error)?,
            timer: watch(timer).map_err(|(_, error)| error)?,
            armed: Cell::new(None),
            ends: Ends::default(),
            pool: BufferPool::default(),
            receive_pool: BufferPool::default(),
            streams: Cell::new(0),
            listeners: Cell::new(0),
            freed: Cell::new(0),
            exhausted: RefCell::default(),
            counters: Counters::default(),
        }))
    }

    /// Whether every socket is closed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.streams.get() == 0 && self.listeners.get() == 0
    }

    /// The spare output buffers of the shard.
    pub(crate) fn pool(&self) -> &BufferPool {
        &self.pool
    }

    /// How many sockets are open.
    pub(crate) fn open_sockets(&self) -> usize {
        self.streams.get()
    }

    /// What the driver has counted and holds.
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            streams: self.open_sockets(),
            listeners: self.listeners.get(),
            accepted: self.counters.accepted.get(),
            accept_pauses: self.counters.accept_pauses.get(),
            ..Statistics::default()
        }
    }

    /// A descriptor was freed: exhausted listeners may try again at once.
    fn descriptor_freed(&self) {
        self.freed.set(self.freed.get().wrapping_add(1));
        for waker in self.exhausted.take() {
            waker.wake();
        }
    }
}

impl fmt::Debug for Epoll {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Epoll")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
