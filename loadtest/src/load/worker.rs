//! One worker thread of the generator: an epoll loop over its own connections.
//!
//! It waits without a timeout where it can, because arming a timer for each wait is expensive on a virtual machine. The
//! coordinator wakes it ten times a second and at the end of the window; only then does it check timeouts. Under a
//! schedule it spins for the last 60 µs before a request is due, so a late wake-up does not count as latency.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use super::clock::Nanos;
use super::connection::{LoadConnection, NextStep, State};
use super::counts::Counts;
use super::pacing::{Pacing, Schedule};
use super::script::Script;
use super::thread_state::ThreadState;

/// Connections one thread opens at the same time: fewer than common listen backlogs (128, 511), which drop further
/// ones.
const CONNECTING_MAX: usize = 100;

/// Events taken from one epoll_wait(2).
const EVENTS_MAX: usize = 1024;

/// How long before a request is due the thread spins instead of sleeping; waking a virtual core takes 20 to 30 µs.
const SPIN: Nanos = 60_000;

/// Groups for counting unsent requests at the end; with a million, a group of a ten-second window spans 10 µs.
const GROUPS_MAX: u64 = 1_000_000;

/// The epoll key of the wake eventfd; connections never use it.
const WAKE: u64 = u64::MAX;

/// What the coordinator and a worker share during the run: the end of the window, and the worker's counts so far.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct WorkerStatus {
    /// When the window ends early; `MAX` until an interrupt.
    pub(crate) end: AtomicU64,
    pub(crate) answers: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) connections: AtomicU64,
}

impl WorkerStatus {
    pub(crate) fn new() -> Self {
        let [answers, errors, connections] = [const { AtomicU64::new(0) }; 3];
        Self {
            end: AtomicU64::new(Nanos::MAX),
            answers,
            errors,
            connections,
        }
    }
}

pub(crate) struct Worker<'run, C: Script> {
    connections: Vec<LoadConnection<C>>,
    thread: ThreadState<C::Shared>,
    /// Open loop: connections that had room when they were queued, oldest first.
    with_room: VecDeque<usize>,
    /// Keys of connections with unread input; edge-triggered epoll reports them no second time.
    unfinished: Vec<u64>,
    schedule: Option<Schedule>,
    timeout: Nanos,
    events: Vec<Event>,
    status: &'run WorkerStatus,
}

impl<'run, C: Script> Worker<'run, C> {
    /// Makes a worker for the connections numbered `indices`; a write to `wake` makes it check timeouts.
    pub(crate) fn new(
        indices: impl Iterator<Item = usize>,
        mut thread: ThreadState<C::Shared>,
        timeout: Duration,
        wake: &OwnedFd,
        status: &'run WorkerStatus,
    ) -> Result<Self> {
        // Failure leaves the default slack of 50 µs, which `SPIN` covers.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).ok();
        thread.watch(wake, WAKE).context("could not watch the wake eventfd")?;
        Ok(Self {
            connections: indices.map(|index| LoadConnection::new(index, &mut thread)).collect(),
            thread,
            with_room: VecDeque::new(),
            unfinished: Vec::new(),
            schedule: None,
            timeout: super::clock::nanos(timeout),
            events: Vec::with_capacity(EVENTS_MAX),
            status,
        })
    }

    /// Opens all connections and completes their handshakes; in an idle hold of HTTP also completes one request on
    /// each.
    ///
    /// # Errors
    ///
    /// A connection fails, or its answer does not arrive in time.
    pub(crate) fn set_up(&mut self) -> Result<()> {
        if self.thread.pacing == Pacing::Churn {
            return Ok(());
        }
        self.thread.is_sending = self.thread.pacing == Pacing::Hold;
        let total = self.connections.len();
        let (mut begun, mut done) = (0, 0);
        while done < total && self.status.end.load(Ordering::Relaxed) == Nanos::MAX {
            while begun < total && begun - done < CONNECTING_MAX {
                let opened = self.connect(begun);
                opened.with_context(|| format!("could not open connection {} of {total}", begun + 1))?;
                begun += 1;
            }
            let woken = self.wait(None)?;
            for event in 0..self.events.len() {
                let Some((slot, ready)) = self.event(event) else {
                    continue;
                };
                let was_set_up = self.is_set_up(slot);
                self.turn(slot, ready);
                match (was_set_up, self.is_set_up(slot)) {
                    (false, true) => done += 1,
                    // A server may close a connection while others are still being opened.
                    (true, false) => done -= 1,
                    _ => {}
                }
            }
            if woken {
                self.check_all(false);
            }
            let is_lost = |connection: &LoadConnection<C>| connection.state == State::Closed;
            if self.thread.counts.errors.total() > 0 || (woken && self.connections.iter().take(begun).any(is_lost)) {
                let errors = self.thread.counts.errors;
                bail!("lost connections while opening {total} (errors: {errors}); {done} were open");
            }
            self.report();
        }
        self.thread.is_sending = false;
        Ok(())
    }

    /// Loads the server until the end of `window` or of this thread's share of `requests`, then waits for the requests
    /// in flight. Answers before the window are warm-up.
    pub(crate) fn load(
        mut self,
        window: Range<Nanos>,
        schedule: Option<Schedule>,
        requests: Option<u64>,
    ) -> Result<Counts> {
        self.thread.counts.window = window;
        self.thread.counts.requests_max = requests.unwrap_or(u64::MAX);
        self.schedule = schedule;
        self.thread.is_sending = self.thread.pacing != Pacing::Hold;
        self.limit();
        self.start();
        loop {
            let next_due = self.send_due();
            let woken = self.wait(next_due)?;
            for event in 0..self.events.len() {
                if let Some((slot, ready)) = self.event(event) {
                    self.turn(slot, ready);
                }
            }
            let now = self.thread.clock.now();
            // `end` changes only on an interrupt, which the coordinator follows by a wake, so other turns skip the
            // load.
            if woken {
                let end = self.status.end.load(Ordering::Relaxed);
                self.thread.counts.window.end = self.thread.counts.window.end.min(end);
            }
            self.limit();
            let has_sent_all = self.thread.allowance.is_used_up();
            if has_sent_all || now >= self.thread.counts.window.end {
                self.thread.is_sending = false;
                if self.is_finished(now) {
                    break;
                }
            }
            if woken {
                self.check_all(self.thread.is_sending);
            }
            self.report();
        }
        if self.thread.allowance.is_used_up() {
            // The window ends with the last answer.
            let now = self.thread.clock.now();
            self.thread.counts.window.end = self.thread.counts.window.end.min(now);
        }
        Ok(self.into_counts())
    }

    /// Limits the allowance once the window begins; requests in flight then are answered in it, so they count.
    fn limit(&mut self) {
        let counts = &self.thread.counts;
        let is_limited = counts.requests_max < u64::MAX;
        if !is_limited || !self.thread.allowance.is_unlimited() || self.thread.clock.now() < counts.window.start {
            return;
        }
        let pacing = self.thread.pacing;
        let unfinished: usize = self
            .connections
            .iter()
            .map(|connection| connection.unfinished(pacing))
            .sum();
        let begun = counts.requests + unfinished as u64;
        self.thread.allowance.limit(counts.requests_max.saturating_sub(begun));
    }

    fn start(&mut self) {
        for slot in 0..self.connections.len() {
            if self.thread.pacing == Pacing::Churn {
                // A failure is counted, and the next tick opens the connection again.
                self.connect(slot).ok();
                continue;
            }
            if let Some(connection) = self.connections.get_mut(slot) {
                let now = self.thread.clock.now();
                connection.start(now, &mut self.thread);
            }
            self.queue(slot);
        }
    }

    /// Sends the due requests on connections with room; returns when the next is due, or `None` if a free connection is
    /// missing.
    fn send_due(&mut self) -> Option<Nanos> {
        let schedule = self.schedule.as_mut()?;
        loop {
            let due = schedule.due();
            let now = self.thread.clock.now();
            if due >= self.thread.counts.window.end || self.thread.allowance.is_used_up() {
                return None;
            }
            if due > now {
                return Some(due);
            }
            let slot = self.with_room.pop_front()?;
            let Some(connection) = self.connections.get_mut(slot) else {
                continue;
            };
            connection.is_queued = false;
            // Requests due at the same moment (a burst) go out in one send, as far as the pipeline has room.
            let room = self.thread.allowance.of(connection.room());
            let mut count = 0;
            while count < room && schedule.due() == due {
                schedule.advance();
                count += 1;
            }
            if count > 0 {
                connection.ask(count, due, now, &mut self.thread);
            }
            // Back of the queue: all connections take turns.
            if connection.room() > 0 {
                connection.is_queued = true;
                self.with_room.push_back(slot);
            }
        }
    }

    /// Waits for events, or until `due`; returns whether the coordinator woke this thread.
    ///
    /// Uses epoll_pwait2(2) (Linux 5.11), which takes nanoseconds. With the milliseconds of epoll_wait(2), scheduled
    /// requests would be half a millisecond late on average.
    fn wait(&mut self, due: Option<Nanos>) -> Result<bool> {
        let resumed = (!self.unfinished.is_empty()).then_some(0);
        let timeout = resumed.or(due).map(|due| {
            let left = due.saturating_sub(self.thread.clock.now()).saturating_sub(SPIN);
            Timespec::try_from(Duration::from_nanos(left)).unwrap_or_default()
        });
        self.events.clear();
        match epoll::wait(self.thread.epoll(), spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("could not wait for events"),
        }
        let woken = self.events.iter().any(|event| event.data.u64() == WAKE);
        // A connection may be queued twice if it also had an event.
        self.unfinished.sort_unstable();
        self.unfinished.dedup();
        self.events.extend(self.unfinished.drain(..).map(|key| Event {
            flags: EventFlags::IN | EventFlags::RDHUP,
            data: EventData::new_u64(key),
        }));
        Ok(woken)
    }

    /// Returns the connection of event number `event`; `None` for the wake eventfd and for an earlier socket of the
    /// connection.
    #[inline]
    fn event(&self, event: usize) -> Option<(usize, EventFlags)> {
        let event = self.events.get(event)?;
        let key = event.data.u64();
        let slot = usize::try_from(key & u64::from(u32::MAX)).ok()?;
        let connection = self.connections.get(slot)?;
        (connection.key() == key).then_some((slot, event.flags))
    }

    #[inline]
    fn turn(&mut self, slot: usize, ready: EventFlags) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        let next = connection.turn(ready, &mut self.thread);
        if next == NextStep::Resume {
            self.unfinished.push(connection.key());
        }
        // An idle hold counts a closed connection as lost and never reopens it.
        if next == NextStep::Reopen && self.thread.is_sending && self.thread.pacing != Pacing::Hold {
            // A failure is counted, and the next tick opens the connection again.
            self.connect(slot).ok();
        }
        self.queue(slot);
    }

    /// Queues a connection with room for the schedule.
    #[inline]
    fn queue(&mut self, slot: usize) {
        if self.schedule.is_none() {
            return;
        }
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if !connection.is_queued && connection.room() > 0 {
            connection.is_queued = true;
            self.with_room.push_back(slot);
        }
    }

    fn connect(&mut self, slot: usize) -> Result<()> {
        let Some(connection) = self.connections.get_mut(slot) else {
            return Ok(());
        };
        if self.thread.pacing == Pacing::Churn {
            if self.thread.allowance.is_used_up() {
                return Ok(());
            }
            self.thread.allowance.take(1);
        }
        // The upper half counts the connection's sockets, so that late events of an earlier socket are ignored.
        let generation = (connection.key() >> 32).wrapping_add(1) & 0x7fff_ffff;
        connection.connect(generation << 32 | slot as u64, &mut self.thread)?;
        Ok(())
    }

    fn is_set_up(&self, slot: usize) -> bool {
        self.connections.get(slot).is_some_and(|connection| {
            let is_open = connection.state == State::Open && connection.script.is_ready();
            is_open && !connection.is_busy(self.thread.pacing)
        })
    }

    /// Fails connections past their timeout, and reopens failed ones if `reopen`.
    fn check_all(&mut self, reopen: bool) {
        let now = self.thread.clock.now();
        for slot in 0..self.connections.len() {
            let Some(connection) = self.connections.get_mut(slot) else {
                return;
            };
            if connection.check(now, self.timeout, &mut self.thread) && reopen {
                // A failure is counted, and the next tick opens the connection again.
                self.connect(slot).ok();
            }
        }
    }

    fn is_finished(&self, now: Nanos) -> bool {
        let is_interrupted = self.status.end.load(Ordering::Relaxed) != Nanos::MAX;
        let is_late = now >= self.thread.counts.window.end.saturating_add(self.timeout);
        let is_busy = |connection: &LoadConnection<C>| connection.is_busy(self.thread.pacing);
        is_interrupted || is_late || !self.connections.iter().any(is_busy)
    }

    fn report(&self) {
        let counts = &self.thread.counts;
        let answers = counts.warmup_requests + counts.requests + counts.late_requests;
        self.status.answers.store(answers, Ordering::Relaxed);
        self.status.errors.store(counts.errors.total(), Ordering::Relaxed);
        self.status
            .connections
            .store(counts.connections_opened, Ordering::Relaxed);
    }

    /// Counts the unanswered and unsent requests, and returns the counts.
    fn into_counts(mut self) -> Counts {
        self.report();
        let now = self.thread.clock.now();
        for connection in &self.connections {
            connection.give_up(now, &mut self.thread);
        }
        if let Some(schedule) = self.schedule.take() {
            self.count_unsent(schedule, now);
        }
        let is_open = |connection: &&LoadConnection<C>| connection.state == State::Open;
        self.thread.counts.still_open = self.connections.iter().filter(is_open).count() as u64;
        self.thread.counts
    }

    /// Counts the requests left in the schedule, in at most `GROUPS_MAX` groups.
    fn count_unsent(&mut self, mut schedule: Schedule, now: Nanos) {
        let end = self.thread.counts.window.end;
        let mut allowed = self.thread.allowance.left();
        // Requests due before the window count in no figure.
        let before = schedule.left(self.thread.counts.window.start.min(end));
        schedule.skip(before);
        let group = schedule.left(end).div_ceil(GROUPS_MAX).max(1);
        loop {
            let count = group.min(schedule.left(end)).min(allowed);
            if count == 0 {
                return;
            }
            self.thread.counts.unsent(schedule.due(), now, count);
            schedule.skip(count);
            allowed -= count;
        }
    }
}
