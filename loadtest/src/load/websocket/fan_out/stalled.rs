//! Subscribers that read nothing while the window is open, and then all that waits for them: how a server treats who does not keep up.
//!
//! What reaches them is checked as everybody's is, but counted apart. When the publisher has ended, each is heard until it has been accounted
//! for: what it received and what it was told it missed make up what was published. A server that tells nothing is given up on once it is
//! silent.

use super::subscriber::{ReceiveState, Subscriber};
use crate::load::clock::Nanos;
use crate::load::run_result::Stalled;

/// How long nothing may come to any of them, after the end, before no more is expected. 5 s: a server whose peer read nothing for a minute
/// asks rarely whether it does again (RFC 9293, section 3.8.6.1).
const SILENCE: Nanos = 5_000_000_000;

/// The stalled subscribers of one thread.
pub(super) struct StalledSubscribers<'run> {
    subscribers: Vec<Subscriber>,
    state: ReceiveState<'run>,
    closed: u64,
    /// Whether they have begun to read again.
    are_awake: bool,
    /// How much had come, and when that was seen to grow.
    progress: (u64, Nanos),
}

impl<'run> StalledSubscribers<'run> {
    /// Their state counts in no window.
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

    /// Hears number `index`, unless it is not to read now.
    pub(super) fn hear(&mut self, index: usize, peer_closed: bool, is_reading: bool) {
        let Some(subscriber) = self.subscribers.get_mut(index).filter(|_| is_reading) else {
            return;
        };
        if subscriber.turn(peer_closed, &mut self.state).is_err() {
            subscriber.leave();
            self.closed += 1;
        }
    }

    /// Whether all has come that will, when the publisher ended before `now`; the first call wakes them.
    pub(super) fn are_done(&mut self, now: Nanos) -> bool {
        if !self.are_awake {
            self.are_awake = true;
            self.progress = (0, now);
            // What came while they did not read makes no event any more.
            (0..self.subscribers.len()).for_each(|index| self.hear(index, true, true));
        }
        let heard = self.state.delivered + self.state.faults.told;
        if heard != self.progress.0 {
            self.progress = (heard, now);
        }
        now.saturating_sub(self.progress.1) > SILENCE || self.unaccounted() == 0
    }

    /// What became of them; `None` if there are none.
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
