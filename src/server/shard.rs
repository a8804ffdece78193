//! What the connections of one shard share: application, settings, pooled exchanges, today's date, wakers.
//!
//! It lives on one shard in an `Rc`, without locks or atomics.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime};

use squall_shards::{Gate, Shard, ShardId, Wait, WaitList, clock};

use super::access_log::RequestLog;
use super::config::ServerConfig;
use super::http2::handler_pool::HandlerPool;
use super::memory::pressure;
use super::memory::pressure::{Budget, Meter};
use super::memory::watermarks::Pressure;
use super::operator_log;
#[cfg(feature = "rustls")]
use super::tls::shard::ShardTls;
use crate::app::{App, Exchange};
use crate::http1;
use crate::http2;
use crate::memory::{self, OutOfMemory, Reservation};
use crate::message::HttpDate;
use crate::transport::progress::WriteLimits;

/// The most exchanges a shard pools for later requests. 256: the most requests in flight at once on a busy shard.
const EXCHANGES_POOLED_MAX: usize = 256;

/// What a request allocates without a check, its exchange and its handler's future, rounded up. 4 KiB.
const REQUEST_BYTES: usize = 4 * 1024;

/// What each connection reserves while it lives: one answer, for all connections at the same moment. 1 KiB.
const CONNECTION_BYTES: usize = 1024;

/// How long idle connections are still read after a graceful stop begins. 1 s.
///
/// Requests that were on their way when the stop began still get an answer.
pub(super) const IN_FLIGHT_GRACE: Duration = Duration::from_secs(1);

/// The state of one shard's server.
pub(super) struct ShardServer {
    pub(super) app: Rc<App>,
    pub(super) config: Rc<ServerConfig>,
    pub(super) http1: Rc<http1::Limits>,
    pub(super) http2: Rc<http2::Limits>,
    /// Boxes for the handlers of HTTP/2.
    pub(super) handlers: HandlerPool,
    pub(super) write: WriteLimits,
    pub(super) shard: Shard,
    /// `None` if the server has no certificate.
    #[cfg(feature = "rustls")]
    pub(super) tls: Option<Rc<ShardTls>>,
    /// Counts connections; a graceful stop closes it and waits for it.
    pub(super) gate: Gate,
    #[expect(
        clippy::vec_box,
        reason = "an exchange moves between the pool and its connection: eight bytes, not its whole size"
    )]
    exchanges: RefCell<Vec<Box<Exchange>>>,
    /// `None` if no line of a request would be written.
    pub(super) request_log: Option<Rc<RequestLog>>,
    /// Measures memory; `None` where the kernel reports none.
    meter: Option<Rc<Meter>>,
    date: RefCell<HttpDate>,
    /// The time of which `date` is the text.
    date_time: Cell<SystemTime>,
    /// When the date must be formatted again.
    date_until: Cell<Instant>,
    /// When the graceful stop began.
    draining_since: Cell<Option<Instant>>,
    /// The highest index of a connection when the graceful stop began.
    last_index: Cell<usize>,
    /// The task of each connection, so that a stop or short memory can wake it.
    connections: Rc<WaitList>,
    /// The accept loops that wait for capacity; each is woken before it can wait again.
    accept_wakers: RefCell<Vec<Waker>>,
}

impl ShardServer {
    pub(super) fn new(app: Rc<App>, config: Rc<ServerConfig>, shard: Shard, budget: Option<&Arc<Budget>>) -> Self {
        let now = clock::now();
        let mut http2 = config.http2_limits();
        // A browser that learns it opens every WebSocket here, so an application without any must not say it.
        http2.accepts_websockets &= app.has_websockets();
        Self {
            app,
            http1: Rc::new(config.http1.clone()),
            http2: Rc::new(http2),
            handlers: HandlerPool::default(),
            write: config.write.clone(),
            request_log: None,
            meter: budget.map(pressure::meter),
            config,
            shard,
            #[cfg(feature = "rustls")]
            tls: None,
            gate: Gate::new(),
            exchanges: RefCell::new(Vec::new()),
            date: RefCell::new(HttpDate::from(clock::wall())),
            date_time: Cell::new(clock::wall()),
            date_until: Cell::new(now),
            draining_since: Cell::new(None),
            last_index: Cell::new(0),
            connections: Rc::default(),
            accept_wakers: RefCell::new(Vec::new()),
        }
    }

    /// Logs the requests of the shard.
    pub(super) fn with_request_log(self, request_log: Option<Rc<RequestLog>>) -> Self {
        Self { request_log, ..self }
    }

    /// Lets the shard accept TLS connections.
    #[cfg(feature = "rustls")]
    pub(super) fn with_tls(self, tls: Option<Rc<ShardTls>>) -> Self {
        Self { tls, ..self }
    }

    /// Returns an exchange for the next request: a pooled one, if there is one.
    ///
    /// # Errors
    ///
    /// The pool is empty and memory is refused.
    pub(super) fn take_exchange(&self) -> Result<Box<Exchange>, OutOfMemory> {
        let pooled = self.exchanges.borrow_mut().pop();
        pooled.map_or_else(|| self.make_exchange(), Ok)
    }

    #[cold]
    fn make_exchange(&self) -> Result<Box<Exchange>, OutOfMemory> {
        memory::reserve_to_answer(REQUEST_BYTES)?;
        Ok(Box::new(Exchange::new(self.app.shared())))
    }

    /// Returns an exchange, which its connection has reset, to the pool.
    pub(super) fn return_exchange(&self, exchange: Box<Exchange>) {
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() < EXCHANGES_POOLED_MAX {
            exchanges.push(exchange);
        }
    }

    /// Returns the date for responses, formatted once a second.
    pub(super) fn date(&self) -> Ref<'_, HttpDate> {
        let now = self.shard.now();
        if now >= self.date_until.get() {
            self.format_date(now);
        }
        self.date.borrow()
    }

    /// Returns the time of the date for responses.
    pub(super) fn date_time(&self) -> SystemTime {
        drop(self.date());
        self.date_time.get()
    }

    /// Formats the date and measures memory.
    ///
    /// It runs once a second while there are requests, which is as often as memory needs a measurement.
    #[cold]
    fn format_date(&self, now: Instant) {
        if let Some(meter) = &self.meter {
            meter.check();
        }
        let wall = clock::wall();
        let into_second = wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .subsec_nanos();
        // Format again when the wall clock's second ends, not a second after this request.
        let rest_of_second = Duration::from_secs(1).saturating_sub(Duration::from_nanos(into_second.into()));
        self.date.replace(HttpDate::from(wall));
        self.date_time.set(wall);
        self.date_until.set(now + rest_of_second);
    }

    /// Returns whether a stop has been requested.
    ///
    /// From then on every response says `Connection: close`.
    pub(super) fn is_stopping(&self) -> bool {
        self.shard.stop_requested().is_some()
    }

    /// Returns when the accept loops noticed the graceful stop, if they have.
    pub(super) fn draining_since(&self) -> Option<Instant> {
        self.draining_since.get()
    }

    /// Returns the highest [`Registration::index`] at the start of the graceful stop: the base of its batches.
    pub(super) fn last_index(&self) -> usize {
        self.last_index.get()
    }

    /// Starts the drain and wakes every idle connection, unless another accept loop has done so.
    pub(super) fn begin_draining(&self) {
        if self.draining_since.get().is_some() {
            return;
        }
        self.draining_since.set(Some(self.shard.now()));
        if self.shard.id() == ShardId::FIRST {
            operator_log::stopping(self.config.own.shutdown_timeout);
        }
        self.last_index.set(self.connections.last_index());
        self.wake_connections();
    }

    /// Wakes every registered connection, so that idle ones compute their deadline again.
    pub(super) fn wake_connections(&self) {
        self.connections.wake_all();
    }

    /// Returns the shard's memory meter.
    pub(super) fn meter(&self) -> Option<&Rc<Meter>> {
        self.meter.as_ref()
    }

    /// Returns how short memory is.
    pub(super) fn pressure(&self) -> Pressure {
        self.meter.as_ref().map_or(Pressure::None, |meter| meter.pressure())
    }

    /// Returns whether the shard has as many connections as it may have.
    pub(super) fn is_full(&self) -> bool {
        self.gate.count() >= self.config.own.max_connections
    }

    /// Waits until the shard may accept one more connection.
    ///
    /// Cancel safety: a dropped call loses nothing.
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

    /// Wakes the accept loops that wait, after a connection has ended or memory is free again.
    pub(super) fn wake_accepting(&self) {
        self.accept_wakers.take().into_iter().for_each(Waker::wake);
    }

    /// Registers a connection, so that a graceful stop can wake it.
    pub(super) fn register(self: &Rc<Self>) -> Registration {
        Registration {
            server: Rc::clone(self),
            wait: self.connections.join(),
            _reservation: Reservation::of(CONNECTION_BYTES),
        }
    }
}

/// A connection's entry among those that a graceful stop wakes.
///
/// Dropping it wakes a waiting accept loop and removes the entry.
pub(super) struct Registration {
    server: Rc<ShardServer>,
    wait: Wait,
    _reservation: Reservation,
}

impl Registration {
    /// Returns its index among the connections, from 0; a graceful stop makes batches by it.
    pub(super) fn index(&self) -> usize {
        self.wait.index()
    }

    /// Sets the task to wake; without effect if it is set already.
    pub(super) fn set_waker(&self, cx: &Context<'_>) {
        self.wait.set_waker(cx.waker());
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.server.wake_accepting();
    }
}
