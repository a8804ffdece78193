//! Everything that one shard owns.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::core::Core;
use super::id::ShardId;
use super::wait_list::WaitList;
use crate::balance::watchdog::{Heartbeat, Watchdog};
use crate::driver::Reactor;
use crate::message::inbox::Inbox;
use crate::message::links::{Invocation, Mailboxes, MeshSender};
use crate::start::pools::Pools;
use crate::start::signal::Stop;
use crate::statistics::Statistics;
use crate::task::Tasks;
use crate::time::Timers;

/// Everything a shard owns.
pub(crate) struct ShardContext {
    count: usize,
    core: Core,
    reactor: Reactor,
    timers: Timers,
    mailboxes: Mailboxes,
    pools: Pools,
    invocations: MeshSender<Invocation>,
    heartbeat: Arc<Heartbeat>,
    watchdog: Arc<Watchdog>,
    turns: Cell<u64>,
    sleeps: Cell<u64>,
    stop_seen: Cell<Option<Stop>>,
    /// One entry for each [`Shard::stopping`](crate::Shard::stopping).
    stop_waiters: Rc<WaitList>,
}

impl ShardContext {
    /// Creates the context of the shard with this core, which runs on the calling thread.
    pub(crate) fn new(
        core: Core,
        reactor: Reactor,
        pools: Pools,
        invocations: MeshSender<Invocation>,
        watchdog: Arc<Watchdog>,
    ) -> Rc<Self> {
        Rc::new(Self {
            count: watchdog.shards(),
            timers: Timers::new(core.refresh_now()),
            reactor,
            mailboxes: Mailboxes::default(),
            pools,
            invocations,
            heartbeat: watchdog.heartbeat(core.inbox().shard()),
            watchdog,
            turns: Cell::new(0),
            sleeps: Cell::new(0),
            stop_seen: Cell::new(None),
            stop_waiters: Rc::default(),
            core,
        })
    }

    pub(crate) fn id(&self) -> ShardId {
        self.core.inbox().shard()
    }

    /// Returns the number of shards in the process.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        self.core.inbox()
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        self.core.tasks()
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

    pub(crate) fn pools(&self) -> &Pools {
        &self.pools
    }

    pub(crate) fn invocations(&self) -> &MeshSender<Invocation> {
        &self.invocations
    }

    pub(crate) fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    pub(crate) fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    pub(super) fn stop_waiters(&self) -> &Rc<WaitList> {
        &self.stop_waiters
    }

    /// Marks for the watchdog the start of a run of tasks, or of the receivers of messages.
    pub(crate) fn begin_work(&self) {
        self.heartbeat.begin(&self.watchdog);
    }

    /// Marks for the watchdog the end of such a run.
    pub(crate) fn end_work(&self) {
        self.heartbeat.end();
    }

    pub(crate) fn now(&self) -> Instant {
        self.core.now()
    }

    /// Counts a turn and publishes the number of connections to the watchdog.
    pub(crate) fn count_turn(&self, sleeps: bool) {
        self.heartbeat.count_connections(self.reactor.open_sockets());
        self.turns.set(self.turns.get().wrapping_add(1));
        self.sleeps.set(self.sleeps.get().wrapping_add(u64::from(sleeps)));
    }

    /// Takes what other threads have sent: woken tasks, messages, a stop request. The number of tasks and the queue
    /// capacities bound the work.
    pub(crate) fn deliver_messages(&self) {
        self.tasks().schedule_posted();
        self.mailboxes.deliver(self.inbox(), &self.heartbeat);
        let stop = self.inbox().stop();
        if stop != self.stop_seen.replace(stop) {
            self.stop_waiters.wake_all();
        }
    }

    /// Returns the number of live tasks and the counters of the driver.
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            tasks: self.tasks().len(),
            polls: self.tasks().polls(),
            turns: self.turns.get(),
            sleeps: self.sleeps.get(),
            timers: self.timers.len(),
            stalls: self.heartbeat.stalls(),
            stalls_shed: self.heartbeat.stalls_shed(),
            longest_stall: self.heartbeat.longest(),
            ..self.reactor.statistics()
        }
    }

    /// Stops receiving messages: drops queued ones and later ones, and wakes the senders waiting for room.
    pub(crate) fn end_messages(&self) {
        self.mailboxes.end(self.inbox());
        self.tasks().discard_posted();
    }
}

impl fmt::Debug for ShardContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ShardContext({})", self.id().index())
    }
}
