//! What all connections of one shard share: the application, the settings, the pool of exchanges, today's date, and who is there.
//!
//! It lives on one shard, in an `Rc`; nothing of it is locked or atomic.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use slab::Slab;
use squall_shards::{Gate, Shard, clock};

use super::config::ServerConfig;
use super::pressure::{self, Budget, Meter};
use super::watermarks::Pressure;
use crate::app::{App, Exchange};
use crate::http1;
use crate::memory::{self, OutOfMemory, Reservation};
use crate::message::HttpDate;
use crate::transport::progress::WriteLimits;

/// How many exchanges a shard keeps for the next requests; as many requests as are ever in flight at once on a busy shard.
const EXCHANGES_POOLED_MAX: usize = 256;

/// What a request takes that cannot be refused it, as its exchange and the future of its handler, rounded up. 4 KiB.
const REQUEST_BYTES: usize = 4 * 1024;

/// What a connection is promised while it lives: an answer, if only that memory is short, for all connections at the same moment. 1 KiB.
const CONNECTION_BYTES: usize = 1024;

/// How long connections that are idle when a graceful stop begins are still listened to: requests that crossed the stop on their
/// way get an answer.
pub(super) const IN_FLIGHT_GRACE: Duration = Duration::from_secs(1);

/// The state of one shard's server.
pub(super) struct ShardServer {
    pub(super) app: Rc<App>,
    pub(super) config: Rc<ServerConfig>,
    pub(super) http1: Rc<http1::Limits>,
    pub(super) write: WriteLimits,
    pub(super) shard: Shard,
    /// Counts connections; closed and waited for by a graceful stop.
    pub(super) gate: Gate,
    #[expect(
        clippy::vec_box,
        reason = "an exchange moves between the pool and its connection: eight bytes, not its whole size"
    )]
    exchanges: RefCell<Vec<Box<Exchange>>>,
    /// How short the process is of memory; `None` where nobody can tell.
    meter: Option<Rc<Meter>>,
    date: RefCell<HttpDate>,
    /// When the date has to be written anew.
    date_until: Cell<Instant>,
    /// When the graceful stop began.
    draining_since: Cell<Option<Instant>>,
    /// The highest place of a connection when the graceful stop began.
    last_index: Cell<usize>,
    connection_wakers: RefCell<Slab<Option<Waker>>>,
    /// The accept loops that wait for room; each is woken before it can wait again.
    accept_wakers: RefCell<Vec<Waker>>,
}

impl ShardServer {
    pub(super) fn new(app: Rc<App>, config: Rc<ServerConfig>, shard: Shard, budget: Option<&Arc<Budget>>) -> Self {
        let now = clock::now();
        Self {
            app,
            http1: Rc::new(config.http1.clone()),
            write: config.write_limits(),
            meter: budget.map(pressure::meter),
            config,
            shard,
            gate: Gate::new(),
            exchanges: RefCell::new(Vec::new()),
            date: RefCell::new(HttpDate::from(clock::wall())),
            date_until: Cell::new(now),
            draining_since: Cell::new(None),
            last_index: Cell::new(0),
            connection_wakers: RefCell::new(Slab::new()),
            accept_wakers: RefCell::new(Vec::new()),
        }
    }

    /// An exchange for the next request: one used before, if there is one.
    ///
    /// # Errors
    ///
    /// There is none, and no memory for one request more.
    pub(super) fn take_exchange(&self) -> Result<Box<Exchange>, OutOfMemory> {
        let kept = self.exchanges.borrow_mut().pop();
        kept.map_or_else(|| self.make_exchange(), Ok)
    }

    #[cold]
    fn make_exchange(&self) -> Result<Box<Exchange>, OutOfMemory> {
        memory::reserve_to_answer(REQUEST_BYTES)?;
        Ok(Box::new(Exchange::new(&self.app)))
    }

    /// Takes an exchange back, which has been reset.
    pub(super) fn return_exchange(&self, exchange: Box<Exchange>) {
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() < EXCHANGES_POOLED_MAX {
            exchanges.push(exchange);
        }
    }

    /// The date of responses: formatted once a second.
    pub(super) fn date(&self) -> Ref<'_, HttpDate> {
        let now = self.shard.now();
        if now >= self.date_until.get() {
            self.format_date(now);
        }
        self.date.borrow()
    }

    /// Formats the date, and, as it is a good moment for what is to be done now and then while there are requests, looks at the memory.
    #[cold]
    fn format_date(&self, now: Instant) {
        if let Some(meter) = &self.meter {
            meter.check();
        }
        let wall = clock::wall();
        let into_second = wall
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .subsec_nanos();
        let rest_of_second = Duration::from_secs(1).saturating_sub(Duration::from_nanos(into_second.into()));
        self.date.replace(HttpDate::from(wall));
        self.date_until.set(now + rest_of_second);
    }

    /// Whether the shard was asked to stop: no response promises another request from then on.
    pub(super) fn is_stopping(&self) -> bool {
        self.shard.stop_requested().is_some()
    }

    /// When the accept loops took note of the graceful stop, if they have.
    pub(super) fn draining_since(&self) -> Option<Instant> {
        self.draining_since.get()
    }

    /// The highest place of a connection when the graceful stop began: what the batches of its [`Registration::index`] are counted from.
    pub(super) fn last_index(&self) -> usize {
        self.last_index.get()
    }

    /// Begins the graceful stop, if another accept loop has not: every connection that waits for a request learns of it.
    pub(super) fn begin_draining(&self) {
        if self.draining_since.get().is_some() {
            return;
        }
        self.draining_since.set(Some(self.shard.now()));
        let last = self
            .connection_wakers
            .borrow()
            .iter()
            .next_back()
            .map_or(0, |(index, _)| index);
        self.last_index.set(last);
        self.wake_connections();
    }

    /// Has every connection that waits for a request look again how long it may.
    pub(super) fn wake_connections(&self) {
        let entries = self.connection_wakers.borrow();
        let wakers: Vec<Waker> = entries.iter().filter_map(|(_, waker)| waker.clone()).collect();
        // Woken after the borrow ends, because a waker may run anything.
        drop(entries);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// What the shard sees of the memory of the process.
    pub(super) fn meter(&self) -> Option<&Rc<Meter>> {
        self.meter.as_ref()
    }

    /// How short memory is.
    pub(super) fn pressure(&self) -> Pressure {
        self.meter.as_ref().map_or(Pressure::None, |meter| meter.pressure())
    }

    /// Whether the shard has as many connections as it may.
    pub(super) fn is_full(&self) -> bool {
        self.gate.count() >= self.config.connections_per_shard_max
    }

    /// Waits until one more connection may be let in: for another to end, for memory, or not at all.
    pub(super) async fn wait_for_capacity(&self) {
        std::future::poll_fn(|cx| {
            if !self.is_full() && self.pressure() < Pressure::RefuseRequests {
                return std::task::Poll::Ready(());
            }
            self.accept_wakers.borrow_mut().push(cx.waker().clone());
            std::task::Poll::Pending
        })
        .await;
    }

    /// A connection has ended, or there is memory again: an accept loop that waits for room may go on.
    pub(super) fn wake_accepting(&self) {
        self.accept_wakers.take().into_iter().for_each(Waker::wake);
    }

    /// A place for a connection's waker, so that it learns of the graceful stop.
    pub(super) fn register(self: &Rc<Self>) -> Registration {
        let index = self.connection_wakers.borrow_mut().insert(None);
        Registration {
            server: Rc::clone(self),
            index,
            _reservation: Reservation::of(CONNECTION_BYTES),
        }
    }
}

/// A connection's place among those to be told of the graceful stop.
pub(super) struct Registration {
    server: Rc<ShardServer>,
    index: usize,
    _reservation: Reservation,
}

impl Registration {
    /// Where it stands among them, from 0: what a graceful stop makes its batches by.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Notes which task waits; nothing to do when it is the one noted already.
    pub(super) fn set_waker(&self, cx: &Context<'_>) {
        if let Some(waker) = self.server.connection_wakers.borrow_mut().get_mut(self.index) {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let waker = self.server.connection_wakers.borrow_mut().try_remove(self.index);
        drop(waker);
        self.server.wake_accepting();
    }
}
