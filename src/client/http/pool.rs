//! The connections of a client on one shard: those in use are counted, those without use wait for the next fetch.
//!
//! The connection used last is taken first, so that the others grow old and close. A fetch beyond the limits waits in
//! order; a connection or a place that becomes free goes to the first that can use it.
//!
//! Invariant: a connection is dropped only while the state is not borrowed, because its lease frees its place there.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use squall_shards::{Deadline, Shard, spawn_detached};

use super::address::Endpoint;
use super::connection::Connection;
use super::error::FetchFailure;
use super::lease::{Lease, Places};
use super::waiting::{Grant, Waiter};

/// The bounds of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolLimits {
    pub(super) connections_per_host_max: usize,
    /// Of the process; a shard opens an equal share.
    pub(super) connections_max: usize,
    pub(super) waiting_max: usize,
    pub(super) idle_timeout: Duration,
}

/// The connections of one client on one shard.
pub(super) struct Pool {
    limits: PoolLimits,
    state: RefCell<State>,
    this: Weak<Self>,
    /// How many shards share the limit of the process, once a fetch has begun on one.
    shards: Cell<usize>,
}

#[derive(Default)]
struct State {
    /// One entry for each endpoint with an open connection, or one that opens.
    hosts: HashMap<Rc<Endpoint>, Host>,
    /// Connections of all hosts, in use or not.
    open: usize,
    /// Fetches that wait, in order.
    waiters: VecDeque<Rc<Waiter>>,
    reaper: Reaper,
}

#[derive(Default)]
struct Host {
    /// Connections, in use or not.
    open: usize,
    /// Those without use; the one used last is at the back.
    idle: VecDeque<Idle>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The task that closes connections which have waited too long, or whose server has closed them.
#[derive(Default)]
enum Reaper {
    /// No connection is without use.
    #[default]
    Ended,
    /// It has not run yet.
    Starting,
    Running(Waker),
}

/// What a newcomer finds.
enum Found {
    Grant(Grant),
    /// To be dropped before another look: a dead connection, or one that makes room.
    Useless(Connection),
    Wait(Rc<Waiter>),
    Busy(usize),
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            limits,
            state: RefCell::default(),
            this: this.clone(),
            shards: Cell::new(1),
        })
    }

    /// Takes an unused connection to the endpoint, or a place for a new one; waits if neither is free. With `is_fresh`
    /// only a place will do.
    pub(super) async fn take(&self, endpoint: &Rc<Endpoint>, is_fresh: bool) -> Result<Grant, FetchFailure> {
        self.shards.set(Shard::current().count());
        loop {
            let found = self.find(endpoint, is_fresh);
            match found {
                Found::Grant(grant) => return Ok(grant),
                Found::Useless(connection) => connection.close(),
                Found::Wait(waiter) => {
                    let queued = Queued { pool: self, waiter };
                    return Ok(poll_fn(|cx| queued.waiter.poll(cx)).await);
                }
                Found::Busy(waiting) => return Err(FetchFailure::Busy { waiting }),
            }
        }
    }

    fn find(&self, endpoint: &Rc<Endpoint>, is_fresh: bool) -> Found {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let idle = state.hosts.get_mut(endpoint).map(|host| &mut host.idle);
        if !is_fresh && let Some(Idle { connection, .. }) = idle.and_then(VecDeque::pop_back) {
            return match connection.is_alive(Waker::noop()) {
                true => Found::Grant(Grant::Connection(connection)),
                false => Found::Useless(connection),
            };
        }
        if state.open < self.share() && !self.is_host_full(state, endpoint) {
            return Found::Grant(Grant::Place(self.lease(state, endpoint)));
        }
        if let Some(unused) = state.pop_unused(endpoint) {
            return Found::Useless(unused);
        }
        if !self.is_host_full(state, endpoint)
            && let Some(oldest) = state.pop_oldest()
        {
            return Found::Useless(oldest);
        }
        if state.waiters.len() >= self.limits.waiting_max {
            return Found::Busy(state.waiters.len());
        }
        let waiter = Rc::new(Waiter::new(Rc::clone(endpoint), is_fresh));
        state.waiters.push_back(Rc::clone(&waiter));
        Found::Wait(waiter)
    }

    /// The most connections of this shard.
    fn share(&self) -> usize {
        (self.limits.connections_max / self.shards.get()).max(1)
    }

    fn is_host_full(&self, state: &State, endpoint: &Rc<Endpoint>) -> bool {
        let open = state.hosts.get(endpoint).map_or(0, |host| host.open);
        // At least one, so that a fetch can begin.
        open >= self.limits.connections_per_host_max.max(1)
    }

    /// Counts a new connection.
    fn lease(&self, state: &mut State, endpoint: &Rc<Endpoint>) -> Lease {
        state.open += 1;
        state.hosts.entry(Rc::clone(endpoint)).or_default().open += 1;
        Lease::new(Rc::clone(endpoint), self.this.clone())
    }

    /// Takes back a connection that is ready for another exchange.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut state = self.state.borrow_mut();
        let fits = |waiter: &Rc<Waiter>| !waiter.is_fresh && waiter.endpoint == *connection.endpoint();
        let first = state.waiters.iter().position(fits);
        if let Some(waiter) = first.and_then(|place| state.waiters.remove(place)) {
            drop(state);
            waiter.grant(Grant::Connection(connection));
            return;
        }
        // A fetch that waits for a place needs it more.
        let is_full = state.open >= self.share();
        let wants = |waiter: &Rc<Waiter>| is_full || waiter.endpoint == *connection.endpoint();
        let is_wanted = state.waiters.iter().any(wants);
        let dead = match is_wanted {
            true => Some(connection),
            false => state.keep(connection),
        };
        let starts = state.reaper.starts();
        drop(state);
        if let Some(dead) = dead {
            dead.close();
        }
        if starts {
            spawn_detached(reap(self.this.clone()));
        }
    }

    /// Gives free places to the fetches that wait for them, in order.
    fn grant_places(&self) {
        loop {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            let has_place = state.open < self.share();
            let fits = |waiter: &Rc<Waiter>| has_place && !self.is_host_full(state, &waiter.endpoint);
            let first = state.waiters.iter().position(fits);
            let Some(waiter) = first.and_then(|place| state.waiters.remove(place)) else {
                return;
            };
            let lease = self.lease(state, &waiter.endpoint);
            waiter.grant(Grant::Place(lease));
        }
    }

    /// Forgets a fetch that no longer waits, and gives on what it was granted.
    fn give_up(&self, waiter: &Rc<Waiter>) {
        self.state
            .borrow_mut()
            .waiters
            .retain(|waiting| !Rc::ptr_eq(waiting, waiter));
        match waiter.take() {
            Some(Grant::Connection(connection)) => self.give_back(connection),
            Some(Grant::Place(lease)) => drop(lease),
            None => {}
        }
    }

    /// Looks at every unused connection; returns those to be closed, and when to look again.
    fn sweep(&self, cx: &Context<'_>, now: Instant) -> (Vec<Connection>, Option<Instant>) {
        let mut state = self.state.borrow_mut();
        let (mut useless, mut next): (_, Option<Instant>) = (Vec::new(), None);
        for host in state.hosts.values_mut() {
            for idle in std::mem::take(&mut host.idle) {
                let until = idle.since + self.limits.idle_timeout;
                if now < until && idle.connection.is_alive(cx.waker()) {
                    next = Some(next.map_or(until, |next| next.min(until)));
                    host.idle.push_back(idle);
                } else {
                    useless.push(idle.connection);
                }
            }
        }
        state.reaper = match next {
            Some(_) => Reaper::Running(cx.waker().clone()),
            None => Reaper::Ended,
        };
        (useless, next)
    }
}

/// A fetch in the queue; dropping it takes it out.
struct Queued<'p> {
    pool: &'p Pool,
    waiter: Rc<Waiter>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if !self.waiter.is_over() {
            self.pool.give_up(&self.waiter);
        }
    }
}

impl State {
    /// Takes the oldest unused connection to an endpoint.
    fn pop_unused(&mut self, endpoint: &Rc<Endpoint>) -> Option<Connection> {
        Some(self.hosts.get_mut(endpoint)?.idle.pop_front()?.connection)
    }

    /// Takes the connection that has been without use for the longest time.
    fn pop_oldest(&mut self) -> Option<Connection> {
        let hosts = self.hosts.values_mut();
        let oldest = hosts.filter(|host| !host.idle.is_empty()).min_by_key(|host| {
            let front = host.idle.front();
            front.map(|idle| idle.since)
        });
        Some(oldest?.idle.pop_front()?.connection)
    }

    /// Keeps a connection for later; returns it if it is dead.
    fn keep(&mut self, connection: Connection) -> Option<Connection> {
        let waker = match &self.reaper {
            Reaper::Running(waker) => waker,
            Reaper::Ended | Reaper::Starting => Waker::noop(),
        };
        if !connection.is_alive(waker) {
            return Some(connection);
        }
        let since = Shard::current().now();
        let endpoint = Rc::clone(connection.endpoint());
        let idle = &mut self.hosts.entry(endpoint).or_default().idle;
        idle.push_back(Idle { connection, since });
        None
    }
}

impl Reaper {
    /// Returns whether its task must be started.
    fn starts(&mut self) -> bool {
        let starts = matches!(self, Self::Ended);
        if starts {
            *self = Self::Starting;
        }
        starts
    }
}

impl Places for Pool {
    fn free(&self, endpoint: &Rc<Endpoint>) {
        {
            let mut state = self.state.borrow_mut();
            state.open = state.open.saturating_sub(1);
            if let Some(host) = state.hosts.get_mut(endpoint) {
                host.open = host.open.saturating_sub(1);
                if host.open == 0 {
                    state.hosts.remove(endpoint);
                }
            }
        }
        self.grant_places();
    }
}

/// Closes connections that have waited too long, and those that their servers have closed, until the last is gone.
async fn reap(pool: Weak<Pool>) {
    let mut timer = Deadline::new();
    poll_fn(move |cx| {
        loop {
            let Some(pool) = pool.upgrade() else {
                return Poll::Ready(());
            };
            let (useless, next) = pool.sweep(cx, Shard::current().now());
            useless.into_iter().for_each(Connection::close);
            let Some(next) = next else { return Poll::Ready(()) };
            timer.set(Some(next));
            if timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}
