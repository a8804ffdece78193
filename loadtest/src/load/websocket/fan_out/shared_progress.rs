//! What all threads of a fan-out know of each other: how far the publisher is, and how far the subscribers follow.
//!
//! Every figure is written by few and only ever a hint to the others, but for the last number published: once `finished_at` is set,
//! it stays.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::load::clock::Nanos;

#[derive(Debug)]
pub(super) struct SharedProgress {
    /// The number of the message published last.
    published: AtomicU64,
    /// When the last message was published; `Nanos::MAX` before.
    finished_at: AtomicU64,
    /// Whether the user wants an end.
    stopped: AtomicBool,
    /// Deliveries that came for the first time.
    delivered: AtomicU64,
    /// The highest numbers that came, summed over the subscribers that live.
    settled: AtomicU64,
    live: AtomicU64,
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

    /// Takes note of messages that are about to be written.
    pub(super) fn publish(&self, messages: u64) {
        self.published.fetch_add(messages, Ordering::Release);
    }

    /// Takes note that nothing more will be published.
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

    /// Takes note of deliveries, and of how much higher than before the highest numbers are.
    pub(super) fn follow(&self, delivered: u64, settled: u64) {
        self.delivered.fetch_add(delivered, Ordering::Relaxed);
        self.settled.fetch_add(settled, Ordering::Relaxed);
    }

    /// Takes note that a subscriber has gone, which had come as far as `highest`.
    pub(super) fn leave(&self, highest: u64) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        self.settled.fetch_sub(highest, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether everybody who lives has received everything.
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
    fn all_is_settled_when_everybody_who_lives_has_the_last_number() {
        let shared = SharedProgress::new(2);
        assert!(shared.is_settled());
        shared.publish(3);
        shared.follow(3, 3);
        assert!(!shared.is_settled(), "the other one has nothing");
        shared.follow(1, 2);
        shared.leave(2);
        assert!(shared.is_settled(), "the other one has gone");
        assert_eq!((shared.delivered(), shared.live(), shared.failed()), (4, 1, 1));
    }

    #[test]
    fn end_is_when_it_was_first_said() {
        let shared = SharedProgress::new(1);
        assert_eq!(shared.finished_at(), None);
        shared.finish(7);
        shared.finish(9);
        assert_eq!(shared.finished_at(), Some(7));
    }
}
