//! A shard as seen by its own code: its number, its time, its stop request.
//!
//! Invariant: a [`Shard`] and everything reached from it stay on the shard's thread. They hold an `Rc`, so the compiler
//! enforces it.

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
use crate::shard::id::ShardId;
use crate::start::signal::Stop;
use crate::task::Tasks;
use crate::task::blocking::BlockingPool;
use crate::time::Timers;

/// A handle to the shard that runs on the current thread.
#[derive(Clone)]
pub struct Shard {
    context: Rc<ShardContext>,
}

impl Shard {
    /// Returns the shard of the calling thread.
    ///
    /// # Panics
    ///
    /// Panics if the calling thread is not a shard; [`Shard::try_current`] does not.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a wrong call site is the caller's bug, as with thread::current in other runtimes"
    )]
    pub fn current() -> Self {
        Self::try_current().expect("the calling thread is not a shard; use invoke_on or a mesh sender")
    }

    /// Returns the shard of the calling thread, or `None` if the thread is not a shard.
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

    /// Returns the number of this shard.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.context.id()
    }

    /// Returns the number of shards in the process.
    #[must_use]
    pub fn count(&self) -> usize {
        self.context.count
    }

    /// Returns the time read at the start of this turn: monotonic and at most one turn old, without a system call.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.context.now()
    }

    /// Returns how the shard was asked to stop (by a signal or a [`Stopper`](crate::Stopper)), if it was.
    #[must_use]
    #[inline]
    pub fn stop_requested(&self) -> Option<Stop> {
        self.context.inbox.stop()
    }

    /// Waits until the shard is asked to stop at least as firmly as `at_least`.
    ///
    /// Cancel safety: safe; it may be dropped and called again.
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

    /// Sets the names of what this shard's tasks work on, such as routes; a stall report quotes the current one.
    ///
    /// Store the index of a name in the returned number before its work begins. Only the first call sets names.
    #[must_use]
    pub fn name_work(&self, names: Arc<[String]>) -> Arc<AtomicUsize> {
        self.context.heartbeat.name_work(names)
    }

    /// Returns the number of live tasks and the counters of the driver.
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

/// The entry of one [`Shard::stopping`] among the wakers; dropping it removes the entry.
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

/// Everything a shard owns.
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
    /// Makes the calling thread a shard, for the rest of its life.
    pub(crate) fn install(
        inbox: Arc<Inbox>,
        reactor: Reactor,
        pool: BlockingPool,
        invocations: Invocations,
        watchdog: Arc<Watchdog>,
    ) -> Rc<Self> {
        let shard = inbox.shard();
        let now = crate::clock::now();
        let tasks = Tasks::new(&inbox);
        tasks.install();
        let context = Rc::new(Self {
            count: watchdog.shards(),
            inbox,
            tasks,
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

    /// Runs `f` with the shard of the calling thread; `None` if the thread is not a shard or is ending.
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

    /// Marks for the watchdog the start of a run of tasks.
    pub(crate) fn begin_work(&self) {
        self.heartbeat.begin(&self.watchdog);
    }

    /// Marks for the watchdog the end of a run of tasks.
    pub(crate) fn end_work(&self) {
        self.heartbeat.end();
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Counts a turn and publishes the number of connections to the watchdog.
    pub(crate) fn count_turn(&self, sleeps: bool) {
        self.heartbeat.count_connections(self.reactor.open_sockets());
        self.turns.set(self.turns.get().wrapping_add(1));
        self.sleeps.set(self.sleeps.get().wrapping_add(u64::from(sleeps)));
    }

    /// Reads the clock; called once per turn.
    pub(crate) fn refresh_now(&self) -> Instant {
        let now = crate::clock::now();
        self.now.set(now);
        now
    }

    /// Takes what other threads have sent: woken tasks, messages, a stop request. The number of tasks and the queue
    /// capacities bound the work.
    pub(crate) fn deliver_messages(&self) {
        self.tasks.schedule_posted();
        self.mailboxes.deliver(&self.inbox);
        let stop = self.inbox.stop();
        if stop != self.stop_seen.replace(stop) {
            // Cloned first: a woken task may drop its `StopWaiter`, which borrows the list.
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
    /// Stops receiving messages: drops queued ones and later ones, and wakes the senders waiting for room.
    pub(crate) fn end_messages(&self) {
        self.mailboxes.end(&self.inbox);
        self.tasks.discard_posted();
    }
}

impl fmt::Debug for ShardContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ShardContext({})", self.id().index())
    }
}
