//! One thread of a fan-out: an epoll loop over its subscribers; the first thread also runs the publisher.
//!
//! Each turn writes at most one burst and reads from at most `EVENTS_MAX` subscribers, so neither side waits long for
//! the other.

use anyhow::{Context, Result};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::publisher::Publisher;
use super::stalled::StalledSubscribers;
use super::subscriber::{ReceiveState, Subscriber};
use crate::load::clock::Nanos;
use crate::load::run_result::Stalled;

/// The most events in one turn.
const EVENTS_MAX: usize = 256;

/// The publisher's epoll key. All other keys are subscriber indices, with the bit `STALLED` for stalled ones.
const PUBLISHER: u64 = u64::MAX;
const STALLED: u64 = 1 << 32;

/// The longest sleep before the thread checks for the end of the run.
const TICK: Nanos = 20_000_000;

/// The longest wait for late deliveries after an interrupt.
const INTERRUPTED_PATIENCE: Nanos = 1_000_000_000;

/// How many timeouts the run waits for a server that is behind and still delivers.
const PATIENCE_WITH_PROGRESS: u64 = 10;

/// How long before a due burst the thread spins, because its timer has millisecond resolution.
const SPIN: Nanos = 2_000_000;

pub(super) struct FanOutWorker<'run> {
    epoll: OwnedFd,
    subscribers: Vec<Subscriber>,
    publisher: Option<Publisher>,
    stalled: StalledSubscribers<'run>,
    state: ReceiveState<'run>,
    /// Whether other threads have subscribers too; they cannot wake this thread's closed-loop publisher, so it polls.
    waits_for_others: bool,
    /// The longest silence of all deliveries, and the longest time for the server to accept a burst.
    patience: Nanos,
    /// Deliveries of all threads so far, and when they last grew.
    progress: (u64, Nanos),
    /// When the publisher had no further burst to start.
    over_since: Option<Nanos>,
    /// Subscribers of this thread still connected.
    live: u64,
    /// The highest received numbers, summed over the live subscribers of this thread.
    settled: u64,
}

/// What a worker returns at the end.
pub(super) struct Report<'run> {
    pub(super) state: ReceiveState<'run>,
    pub(super) publisher: Option<Publisher>,
    pub(super) stalled: Option<Stalled>,
}

impl<'run> FanOutWorker<'run> {
    pub(super) fn new(
        subscribers: Vec<Subscriber>,
        publisher: Option<Publisher>,
        stalled: StalledSubscribers<'run>,
        state: ReceiveState<'run>,
        patience: Nanos,
    ) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("could not create an epoll instance")?;
        let live = subscribers.len() as u64;
        let waits_for_others = state.shared.live() > live;
        let interest = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        for (kind, members) in [(0, subscribers.as_slice()), (STALLED, stalled.subscribers())] {
            for (index, subscriber) in members.iter().enumerate() {
                if let Some(stream) = subscriber.stream() {
                    epoll::add(&epoll, stream, EventData::new_u64(kind | index as u64), interest)?;
                }
            }
        }
        if let Some(publisher) = &publisher {
            let interest = interest | EventFlags::OUT;
            epoll::add(&epoll, publisher.stream(), EventData::new_u64(PUBLISHER), interest)?;
        }
        Ok(Self {
            epoll,
            subscribers,
            publisher,
            stalled,
            state,
            waits_for_others,
            patience,
            progress: (0, 0),
            over_since: None,
            live,
            settled: 0,
        })
    }

    /// Publishes and receives until all deliveries have arrived or the timeout has passed.
    pub(super) fn run(mut self) -> Result<Report<'run>> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        loop {
            let now = self.state.clock.now();
            if self.publish(now) {
                break;
            }
            events.clear();
            let sleep = timespec(self.sleep(now));
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&sleep)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("could not wait for events"),
            }
            self.handle(&events);
        }
        self.count_missing();
        Ok(Report {
            stalled: self.stalled.report(),
            state: self.state,
            publisher: self.publisher,
        })
    }

    /// Lets the publisher write what is due; returns true once the thread can end.
    fn publish(&mut self, now: Nanos) -> bool {
        let shared = self.state.shared;
        let is_silent = self.is_silent(now);
        // After the last burst, each thread only waits for late deliveries.
        if let Some(finished_at) = shared.finished_at() {
            let are_stalled_done = self.stalled.are_done(now);
            let is_complete = are_stalled_done && self.settled >= shared.published() * self.live;
            let waited = now.saturating_sub(finished_at);
            let is_too_late = if shared.is_stopped() {
                waited > INTERRUPTED_PATIENCE
            } else {
                are_stalled_done && is_silent && waited > self.patience
            };
            return is_complete || is_too_late || waited > self.patience.saturating_mul(PATIENCE_WITH_PROGRESS);
        }
        let Some(publisher) = &mut self.publisher else {
            return false;
        };
        if let Err(failure) = publisher.turn(now, shared, &mut self.state.counts) {
            self.state.counts.failed(failure, 1);
            shared.finish(now);
        }
        let is_stuck = is_silent && publisher.waits_for_subscribers();
        if shared.is_stopped() || shared.live() == 0 || is_stuck || publisher.has_published_all(now) {
            // Finish a half-written burst first, within the timeout: a cut frame would count as a loss.
            let over_since = *self.over_since.get_or_insert(now);
            if publisher.is_idle() || now > over_since.saturating_add(self.patience.min(INTERRUPTED_PATIENCE)) {
                shared.finish(now);
            }
        } else if now > self.state.counts.window.end.saturating_add(self.patience) {
            // The server has not accepted a burst for a whole timeout.
            shared.finish(now);
        }
        false
    }

    /// Whether no thread has received a delivery for longer than the timeout.
    fn is_silent(&mut self, now: Nanos) -> bool {
        let delivered = self.state.shared.delivered();
        let (before, since) = self.progress;
        if delivered != before || since == 0 {
            self.progress = (delivered, now);
            return false;
        }
        now > since.saturating_add(self.patience)
    }

    fn sleep(&self, now: Nanos) -> Nanos {
        match &self.publisher {
            Some(publisher) if publisher.is_idle() && self.state.shared.finished_at().is_none() => {
                match publisher.next_due() {
                    Some(due) => due.saturating_sub(now).saturating_sub(SPIN).min(TICK),
                    None if self.waits_for_others => 0,
                    None => TICK,
                }
            }
            _ => TICK,
        }
    }

    fn handle(&mut self, events: &[Event]) {
        let shared = self.state.shared;
        let now = self.state.clock.now();
        let (delivered_before, settled_before) = (self.state.delivered, self.settled);
        let mut gone = Vec::new();
        for event in events {
            let (key, flags) = (event.data.u64(), event.flags);
            let peer_closed = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            if key == PUBLISHER {
                self.receive_for_publisher(flags.contains(EventFlags::IN) || peer_closed);
                continue;
            }
            if key & STALLED != 0 {
                let is_reading = now < self.state.counts.window.start || shared.finished_at().is_some();
                let index = usize::try_from(key ^ STALLED).unwrap_or(usize::MAX);
                self.stalled.read(index, peer_closed, is_reading);
                continue;
            }
            let index = usize::try_from(key).unwrap_or(usize::MAX);
            let Some(subscriber) = self.subscribers.get_mut(index) else {
                continue;
            };
            // `settled` sums the highest numbers, so it grows by what this subscriber advances, skipped numbers
            // included.
            let before = subscriber.highest();
            let received = subscriber.turn(peer_closed, &mut self.state);
            self.settled += subscriber.highest() - before;
            if let Err(failure) = received {
                gone.push(subscriber.highest());
                self.live -= 1;
                subscriber.leave();
                self.state.counts.failed(failure, 1);
            }
        }
        shared.follow(self.state.delivered - delivered_before, self.settled - settled_before);
        // Failed subscribers leave after `follow`, because the sums above still include them.
        for highest in gone {
            self.settled -= highest;
            shared.leave(highest);
        }
    }

    fn receive_for_publisher(&mut self, is_readable: bool) {
        let Some(publisher) = self.publisher.as_mut().filter(|_| is_readable) else {
            return;
        };
        // After the last burst the server may close the publisher.
        let shared = self.state.shared;
        if let Err(failure) = publisher.receive()
            && shared.finished_at().is_none()
        {
            self.state.counts.failed(failure, 1);
            shared.finish(self.state.clock.now());
        }
    }

    /// Counts the deliveries that never arrived.
    fn count_missing(&mut self) {
        let published = self.state.shared.published();
        let missing: u64 = self
            .subscribers
            .iter()
            .map(|subscriber| published - subscriber.highest())
            .sum();
        self.state.faults.lost += missing;
        self.state.counts.unanswered = self.state.faults.lost;
        if let Some(publisher) = self.publisher.as_ref().filter(|_| !self.state.shared.is_stopped()) {
            let subscribers = self.state.shared.live() + self.state.shared.failed();
            self.state.counts.unsent = publisher.unpublished() * subscribers;
        }
    }
}

/// Rounds down to whole milliseconds, the resolution of epoll_wait(2).
fn timespec(nanos: Nanos) -> Timespec {
    let millis = nanos / 1_000_000;
    Timespec {
        tv_sec: (millis / 1000) as i64,
        tv_nsec: (millis % 1000 * 1_000_000) as i64,
    }
}
