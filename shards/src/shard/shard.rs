//! A shard as its own code sees it: which one it is, what time it is, whether it is asked to stop.
//!
//! Invariant: a [`Shard`] and everything reached from it stay on the shard's thread; they are `Rc`, so the compiler agrees.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Poll, Waker};
use std::time::Instant;

use slab::Slab;

use crate::balance::watchdog::{Heartbeat, Watchdog};
use crate::driver::Reactor;
use crate::message::inbox::Inbox;
use crate::message::invoke::Invocations;
use crate::message::mesh::Mailboxes;
use crate::start::signal::Stop;
use crate::task::Tasks;
use crate::task::blocking::BlockingPool;
use crate::time::Timers;

/// Which shard, counted from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(usize);

impl ShardId {
    /// The first shard; there always is one.
    pub const FIRST: Self = Self(0);

    /// Names the shard with this number. Whether there is one is found out when something is sent to it.
    #[must_use]
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// The number of the shard, from 0 to one less than the number of shards.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "shard {}", self.0)
    }
}

/// The shard whose thread this is.
#[derive(Clone)]
pub struct Shard {
    context: Rc<ShardContext>,
}

impl Shard {
    /// The shard whose thread this is.
    ///
    /// # Panics
    ///
    /// Called on a thread that is not a shard's; [`Shard::try_current`] does not panic.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a wrong call site is the caller's bug, as with thread::current in other runtimes"
    )]
    pub fn current() -> Self {
        Self::try_current()
            .expect("squall_shards: called on a thread that is not a shard's; use invoke_on or a mesh sender")
    }

    /// The shard whose thread this is, if it is a shard's.
    #[must_use]
    pub fn try_current() -> Option<Self> {
        CURRENT.with(|current| {
            current.get().map(|context| Self {
                context: Rc::clone(context),
            })
        })
    }

    pub(crate) fn into_context(self) -> Rc<ShardContext> {
        self.context
    }

    /// Which shard this is.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.context.id()
    }

    /// How many shards there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.context.count
    }

    /// The time as it was when this turn of the shard began: cheap, monotonic, at most one turn old.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.context.now()
    }

    /// Whether the shard was asked to stop, and how (signals, [`Stopper`](crate::Stopper)).
    #[must_use]
    #[inline]
    pub fn stop_requested(&self) -> Option<Stop> {
        self.context.inbox.stop()
    }

    /// Waits until the shard is asked to stop at least as firmly as `at_least`.
    ///
    /// Cancel safety: may be dropped and called again.
    pub async fn stopping(&self, at_least: Stop) -> Stop {
        let mut waiter = StopWaiter {
            waiters: &self.context.stop_waiters,
            place: None,
        };
        std::future::poll_fn(|cx| match self.stop_requested() {
            Some(stop) if stop >= at_least => Poll::Ready(stop),
            _ => {
                waiter.wait(cx.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// Gives names to what the tasks of this shard work on, such as the routes of a server, so that the report of a stall can say
    /// which it was. Store the index of the name in the answer before the work begins. The first names stay.
    #[must_use]
    pub fn name_work(&self, names: Arc<[String]>) -> Arc<AtomicUsize> {
        self.context.heartbeat.name_work(names)
    }

    /// How many tasks are alive on this shard, and what its driver counts.
    #[must_use]
    pub fn statistics(&self) -> crate::Statistics {
        let mut statistics = self.context.reactor.statistics();
        statistics.tasks = self.context.tasks.len();
        statistics.polls = self.context.tasks.polls();
        statistics.turns = self.context.turns.get();
        statistics.sleeps = self.context.sleeps.get();
        statistics.timers = self.context.timers.len();
        statistics.stalls = self.context.heartbeat.stalls();
        statistics.stalls_shed = self.context.heartbeat.stalls_shed();
        statistics.longest_stall = self.context.heartbeat.longest();
        statistics
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Shard({} of {})", self.id().index(), self.count())
    }
}

/// The place of one [`Shard::stopping`] among those to be woken, given back when it is dropped.
struct StopWaiter<'a> {
    waiters: &'a RefCell<Slab<Waker>>,
    place: Option<usize>,
}

impl StopWaiter<'_> {
    fn wait(&mut self, waker: &Waker) {
        let mut waiters = self.waiters.borrow_mut();
        match self.place.and_then(|place| waiters.get_mut(place)) {
            Some(waiting) => waiting.clone_from(waker),
            None => self.place = Some(waiters.insert(waker.clone())),
        }
    }
}

impl Drop for StopWaiter<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.waiters.borrow_mut().try_remove(place);
            drop(waker);
        }
    }
}

thread_local! {
    static CURRENT: OnceCell<Rc<ShardContext>> = const { OnceCell::new() };
}

/// Everything one shard owns.
pub(crate) struct ShardContext {
    count: usize,
    inbox: Arc<Inbox>,
    tasks: Tasks,
    reactor: Reactor,
    timers: Timers,
    mailboxes: Mailboxes,
    pool: BlockingPool,
    invocations: Invocations,
    heartbeat: Arc<Heartbeat>,
    watchdog: Arc<Watchdog>,
    turns: Cell<u64>,
    sleeps: Cell<u64>,
    now: Cell<Instant>,
    stop_seen: Cell<Option<Stop>>,
    /// One waker for each [`Shard::stopping`] that has been polled and is alive.
    stop_waiters: RefCell<Slab<Waker>>,
}

impl ShardContext {
    /// Makes the calling thread a shard's, for the rest of its life.
    pub(crate) fn install(
        inbox: Arc<Inbox>,
        reactor: Reactor,
        pool: BlockingPool,
        invocations: Invocations,
        watchdog: Arc<Watchdog>,
    ) -> Rc<Self> {
        let shard = inbox.shard();
        let now = crate::clock::now();
        let context = Rc::new(Self {
            count: watchdog.shards(),
            inbox,
            tasks: Tasks::default(),
            reactor,
            timers: Timers::new(now),
            mailboxes: Mailboxes::default(),
            pool,
            invocations,
            heartbeat: watchdog.heartbeat(shard),
            watchdog,
            turns: Cell::new(0),
            sleeps: Cell::new(0),
            now: Cell::new(now),
            stop_seen: Cell::new(None),
            stop_waiters: RefCell::default(),
        });
        CURRENT.with(|current| {
            let installed = current.set(Rc::clone(&context));
            debug_assert!(installed.is_ok(), "one thread, one shard");
        });
        context
    }

    /// Runs `f` with the calling thread's shard; `None` where the thread is not a shard's or is ending.
    pub(crate) fn with<R>(f: impl FnOnce(&Rc<Self>) -> R) -> Option<R> {
        CURRENT.try_with(|current| current.get().map(f)).ok().flatten()
    }

    pub(crate) fn id(&self) -> ShardId {
        self.inbox.shard()
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    pub(crate) fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    pub(crate) fn mailboxes(&self) -> &Mailboxes {
        &self.mailboxes
    }

    pub(crate) fn pool(&self) -> &BlockingPool {
        &self.pool
    }

    pub(crate) fn invocations(&self) -> &Invocations {
        &self.invocations
    }

    pub(crate) fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// Tells the watchdog that tasks begin to run.
    pub(crate) fn begin_work(&self) {
        self.heartbeat.begin(&self.watchdog);
    }

    /// Tells the watchdog that they have run.
    pub(crate) fn end_work(&self) {
        self.heartbeat.end();
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Counts a turn, and shows the watchdog how many connections there are.
    pub(crate) fn count_turn(&self, sleeps: bool) {
        self.heartbeat.count_connections(self.reactor.open_sockets());
        self.turns.set(self.turns.get().wrapping_add(1));
        self.sleeps.set(self.sleeps.get().wrapping_add(u64::from(sleeps)));
    }

    /// Reads the clock: once a turn.
    pub(crate) fn refresh_now(&self) -> Instant {
        let now = crate::clock::now();
        self.now.set(now);
        now
    }

    /// Takes in what other threads have left: woken tasks, messages, a request to stop. Each part is bounded by what it holds
    /// (tasks alive, queue capacities).
    pub(crate) fn deliver_messages(&self) {
        self.tasks.schedule_posted(&self.inbox);
        self.mailboxes.deliver(&self.inbox);
        let stop = self.inbox.stop();
        if stop != self.stop_seen.replace(stop) {
            let waiters: Vec<_> = self
                .stop_waiters
                .borrow()
                .iter()
                .map(|(_, waker)| waker.clone())
                .collect();
            waiters.into_iter().for_each(Waker::wake);
        }
    }
}

impl ShardContext {
    /// Takes in no more mail: what is in the queues, and what comes later, is thrown away, and who waits for room is told.
    pub(crate) fn end_messages(&self) {
        self.mailboxes.end(&self.inbox);
    }
}

impl fmt::Debug for ShardContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ShardContext({})", self.id().index())
    }
}
