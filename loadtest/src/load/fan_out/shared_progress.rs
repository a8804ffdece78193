//! The progress that all threads of a fan-out share: how far the publisher is, and how far the subscribers are.
//!
//! Each counter may lag behind. Exact is only `published` once `finished_at` is set.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::load::clock::Nanos;

/// Atomic counters of publisher and subscribers.
#[derive(Debug)]
pub(super) struct SharedProgress {
    /// The number of the last published message.
    published: AtomicU64,
    /// When publishing ended; `Nanos::MAX` before.
    finished_at: AtomicU64,
    /// Whether the user interrupted.
    stopped: AtomicBool,
    /// First-time deliveries.
    delivered: AtomicU64,
    /// The highest received numbers, summed over the live subscribers.
    settled: AtomicU64,
    /// Subscribers still connected.
    live: AtomicU64,
    /// Subscribers whose connection failed.
    failed: AtomicU64,
}

impl SharedProgress {
    pub(super) fn new(subscribers: u64) -> Self {
        Self {
            published: AtomicU64::new(0),
            finished_at: AtomicU64::new(Nanos::MAX),
            stopped: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            live: AtomicU64::new(subscribers),
            failed: AtomicU64::new(0),
        }
    }

    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Adds messages that are about to be written.
    pub(super) fn publish(&self, messages: u64) {
        self.published.fetch_add(messages, Ordering::Release);
    }

    /// Records the end of publishing; the first call wins.
    pub(super) fn finish(&self, now: Nanos) {
        self.finished_at.fetch_min(now, Ordering::Release);
    }

    pub(super) fn finished_at(&self) -> Option<Nanos> {
        let at = self.finished_at.load(Ordering::Acquire);
        (at != Nanos::MAX).then_some(at)
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Adds first-time deliveries, and the growth of the highest received numbers.
    pub(super) fn follow(&self, delivered: u64, settled: u64) {
        self.delivered.fetch_add(delivered, Ordering::Relaxed);
        self.settled.fetch_add(settled, Ordering::Relaxed);
    }

    /// Records a failed subscriber whose highest received number was `highest`.
    pub(super) fn leave(&self, highest: u64) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        self.settled.fetch_sub(highest, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether each live subscriber has received the last published message.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed) >= self.published() * self.live()
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(super) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_settled_when_each_live_subscriber_has_the_last_number() {
        let shared = SharedProgress::new(2);
        assert!(shared.is_settled());
        shared.publish(3);
        shared.follow(3, 3);
        assert!(!shared.is_settled(), "the other subscriber has received nothing");
        shared.follow(1, 2);
        shared.leave(2);
        assert!(shared.is_settled(), "the other subscriber has failed");
        assert_eq!((shared.delivered(), shared.live(), shared.failed()), (4, 1, 1));
    }

    #[test]
    fn first_end_of_publishing_wins() {
        let shared = SharedProgress::new(1);
        assert_eq!(shared.finished_at(), None);
        shared.finish(7);
        shared.finish(9);
        assert_eq!(shared.finished_at(), Some(7));
    }
}
