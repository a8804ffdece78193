//! Stalled subscribers: they do not read in the window and read the backlog after it, which shows how a server treats
//! slow consumers.
//!
//! Their messages are checked like all others and counted separately. After publishing ends, each reads until the
//! received and the announced missed messages add up to the published ones. It also ends when the server has been
//! silent for 5 s.

use super::subscriber::{ReceiveState, Subscriber};
use crate::load::clock::Nanos;
use crate::load::run_result::Stalled;

/// The silence after which the backlog counts as complete. 5 s: after a minute of zero window a server probes rarely
/// (RFC 9293 section 3.8.6.1).
const SILENCE: Nanos = 5_000_000_000;

/// The stalled subscribers of one thread.
pub(super) struct StalledSubscribers<'run> {
    subscribers: Vec<Subscriber>,
    state: ReceiveState<'run>,
    closed: u64,
    /// Whether they have started to read the backlog.
    are_awake: bool,
    /// Received and announced messages so far, and when that sum last grew.
    progress: (u64, Nanos),
}

impl<'run> StalledSubscribers<'run> {
    /// Makes the stalled subscribers of a thread; `state` has an empty window.
    pub(super) fn new(subscribers: Vec<Subscriber>, state: ReceiveState<'run>) -> Self {
        Self {
            subscribers,
            state,
            closed: 0,
            are_awake: false,
            progress: (0, 0),
        }
    }

    pub(super) fn subscribers(&self) -> &[Subscriber] {
        &self.subscribers
    }

    /// Reads from number `index` if `is_reading`.
    pub(super) fn read(&mut self, index: usize, peer_closed: bool, is_reading: bool) {
        let Some(subscriber) = self.subscribers.get_mut(index).filter(|_| is_reading) else {
            return;
        };
        if subscriber.turn(peer_closed, &mut self.state).is_err() {
            subscriber.leave();
            self.closed += 1;
        }
    }

    /// Whether the backlog is complete at `now`, after publishing has ended; the first call starts the reading.
    pub(super) fn are_done(&mut self, now: Nanos) -> bool {
        if !self.are_awake {
            self.are_awake = true;
            self.progress = (0, now);
            // Edge-triggered epoll reported the backlog already.
            (0..self.subscribers.len()).for_each(|index| self.read(index, true, true));
        }
        let accounted = self.state.delivered + self.state.faults.told;
        if accounted != self.progress.0 {
            self.progress = (accounted, now);
        }
        now.saturating_sub(self.progress.1) > SILENCE || self.unaccounted() == 0
    }

    /// Returns their counts; `None` without stalled subscribers.
    pub(super) fn report(&self) -> Option<Stalled> {
        (!self.subscribers.is_empty()).then(|| Stalled {
            subscribers: self.subscribers.len() as u64,
            received: self.state.delivered,
            told: self.state.faults.told,
            closed: self.closed,
            unaccounted: self.unaccounted(),
            counted_by_server: None,
        })
    }

    fn unaccounted(&self) -> u64 {
        let published = self.state.shared.published();
        self.subscribers
            .iter()
            .filter(|subscriber| subscriber.stream().is_some())
            .map(|subscriber| published.saturating_sub(subscriber.received() + subscriber.told()))
            .sum()
    }
}
