//! The epoll driver: tokio's current-thread runtime watches the sockets, and the shard's own thread reads and writes
//! them.
//!
//! For hosts that forbid io_uring, and for comparisons: tasks, timers and meshes are the same under both drivers. tokio
//! only registers sockets and waits. It blocks in `epoll_wait`, wakes the tasks whose sockets became ready, and the
//! shard's root future, the turn, continues.
//!
//! Files along a byte's way: [`turn`] (what became ready) → [`stream`] (recv(2) into a pooled buffer) → [`received`]
//! (what the task gets). [`send`] is what is being sent, [`ends`] watches for leaving peers, and sockets come from
//! [`listener`] and [`connect`].

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
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
use tokio::io::unix::AsyncFd;

use crate::net::buffer_pool::BufferPool;
use crate::os::sys::watch;
use crate::shard::core::Core;
use crate::statistics::Statistics;
use crate::task::Tasks;

use ends::Ends;

pub(crate) use connect::Connecting;
pub(crate) use listener::ListenerSocket;
pub(crate) use received::Pooled;
pub(crate) use stream::StreamSocket;

/// The settings of an epoll reactor, checked by the builder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EpollConfig {
    /// How many bytes one receive takes at most.
    pub(crate) receive_buffer_bytes: usize,
    /// How long the sockets are polled before the thread sleeps.
    pub(crate) spin: Duration,
}

/// One shard's epoll reactor.
pub(crate) struct Epoll {
    config: EpollConfig,
    /// The tasks of the shard; weak, because tasks own streams, and streams the reactor.
    tasks: Weak<Tasks>,
    /// The eventfd other threads write to.
    wake_event: AsyncFd<OwnedFd>,
    /// Fires at `armed`, when the sleeping shard must look at its deadlines; moved only to an earlier moment.
    timer: AsyncFd<OwnedFd>,
    armed: Cell<Option<Instant>>,
    ends: Ends,
    pool: BufferPool,
    /// Buffers to receive into.
    receive_pool: BufferPool,
    streams: Cell<usize>,
    listeners: Cell<usize>,
    /// How many descriptors were freed, and the listeners waiting for one.
    freed: Cell<u64>,
    exhausted: RefCell<Vec<Waker>>,
    counters: Counters,
}

/// The driver's counters; reported in [`Statistics`].
#[derive(Debug, Default)]
struct Counters {
    accepted: Cell<u64>,
    accept_pauses: Cell<u64>,
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get().wrapping_add(1));
}

impl Epoll {
    /// Creates the reactor of the calling thread, inside the runtime that will watch its descriptors.
    ///
    /// # Errors
    ///
    /// The process is out of descriptors.
    pub(crate) fn new(config: EpollConfig, core: &Core) -> io::Result<Rc<Self>> {
        let wake_event = core.inbox().wake_event().try_clone_to_owned()?;
        rustix::io::ioctl_fionbio(&wake_event, true)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Rc::new(Self {
            config,
            tasks: Rc::downgrade(core.tasks()),
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

    /// Returns whether every socket is closed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.streams.get() == 0 && self.listeners.get() == 0
    }

    /// Returns the shard's pool of output buffers.
    pub(crate) fn pool(&self) -> &BufferPool {
        &self.pool
    }

    /// Returns the number of open sockets.
    pub(crate) fn open_sockets(&self) -> usize {
        self.streams.get()
    }

    /// Returns the driver's counters and sizes.
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            streams: self.open_sockets(),
            listeners: self.listeners.get(),
            accepted: self.counters.accepted.get(),
            accept_pauses: self.counters.accept_pauses.get(),
            ..Statistics::default()
        }
    }

    /// Lets exhausted listeners retry at once, because a descriptor was freed.
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
