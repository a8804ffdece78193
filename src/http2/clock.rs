//! Since when a connection waits; the caller provides the time.

use std::time::Instant;

/// Since when the connection waits, and for what.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) opened: Instant,
    pub(super) settings_sent: Option<Instant>,
    pub(super) block_since: Option<Instant>,
    pub(super) idle_since: Option<Instant>,
    /// Since when no content has moved although some waits for a window.
    pub(super) blocked_since: Option<Instant>,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            opened: now,
            settings_sent: None,
            block_since: None,
            idle_since: Some(now),
            blocked_since: None,
        }
    }

    pub(super) fn settings_sent(&mut self, now: Instant) {
        self.settings_sent = Some(now);
    }

    /// Notes an acknowledgement; false if none was awaited.
    pub(super) fn settings_acknowledged(&mut self) -> bool {
        self.settings_sent.take().is_some()
    }

    /// Starts the clock of a header block, unless it runs.
    pub(super) fn block_begun(&mut self, now: Instant) {
        self.block_since.get_or_insert(now);
    }

    pub(super) fn block_ended(&mut self) {
        self.block_since = None;
    }

    pub(super) fn idle_begun(&mut self, now: Instant) {
        self.idle_since = Some(now);
    }

    pub(super) fn idle_ended(&mut self) {
        self.idle_since = None;
    }

    pub(super) fn blocked(&mut self, now: Instant) {
        self.blocked_since.get_or_insert(now);
    }

    pub(super) fn moved(&mut self) {
        self.blocked_since = None;
    }
}
