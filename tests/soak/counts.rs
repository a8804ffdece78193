//! Counts of a soak, shared by all clients.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Monotonic counters.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) connections: Count,
    pub(crate) whole: Count,
    pub(crate) broken: Count,
    pub(crate) unanswered: Count,
    pub(crate) left_early: Count,
    pub(crate) resets: Count,
    pub(crate) flushes_given_up: Count,
    pub(crate) uploads: Count,
    pub(crate) messages: Count,
    pub(crate) events: Count,
}

/// One counter.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} connections; {} whole responses, {} that visibly broke off, {} requests of no answer; {} left early, {} by a reset; \
             {} responses with flushes given up; {} uploads; {} WebSocket messages; {} events",
            self.connections.get(),
            self.whole.get(),
            self.broken.get(),
            self.unanswered.get(),
            self.left_early.get(),
            self.resets.get(),
            self.flushes_given_up.get(),
            self.uploads.get(),
            self.messages.get(),
            self.events.get(),
        )
    }
}
