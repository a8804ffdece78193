//! The pace of a request's content while a handler waits for it: a longest pause, and a minimum rate.
//!
//! The rate counts only the time in which content was awaited, as in HTTP/1.1.

use core::time::Duration;
use std::time::Instant;

use super::limits::Limits;

/// How long content was awaited, and how much came.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// Since when content is awaited; `None` while the handler wants none.
    awaited_since: Option<Instant>,
    /// How long it was awaited before.
    awaited: Duration,
    bytes: u64,
}

impl Pace {
    /// Records whether the handler waits for content.
    pub(super) fn set_awaited(&mut self, is_awaited: bool, now: Instant) {
        if is_awaited {
            self.awaited_since.get_or_insert(now);
        } else {
            self.pause(now);
        }
    }

    /// Records content. A handler that still waits starts a new pause.
    pub(super) fn came(&mut self, bytes: usize, now: Instant) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.awaited_since.is_some() {
            self.pause(now);
            self.awaited_since = Some(now);
        }
    }

    fn pause(&mut self, now: Instant) {
        if let Some(since) = self.awaited_since.take() {
            self.awaited = self.awaited.saturating_add(now.saturating_duration_since(since));
        }
    }

    /// Returns when the peer is too slow, unless content comes before.
    ///
    /// Each received byte pays for a part of a second, and the grace time is free.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let timeout = match self.bytes.saturating_mul(1000).checked_div(limits.min_body_rate) {
            None => limits.body_timeout,
            Some(paid_millis) => {
                let paid = Duration::from_millis(paid_millis).max(limits.body_rate_grace);
                limits.body_timeout.min(paid.saturating_sub(self.awaited))
            }
        };
        self.awaited_since?.checked_add(timeout)
    }
}
