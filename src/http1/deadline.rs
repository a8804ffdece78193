//! The deadlines of one connection; the caller provides the time.
//!
//! Only one thing is awaited at a time. A head has an absolute deadline, because a peer that trickles bytes makes no
//! useful progress (RFC 9112 §9.5 leaves timeouts to the server).
//!
//! Content has two limits: the pause between two arrivals, and the average rate. The rate counts only the time in which
//! content was *awaited*. The peer is not charged for time in which the application asked for no content.

use core::time::Duration;
use std::time::Instant;

use super::error::Expired;
use super::limits::Limits;

/// What the peer must do next, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerDeadline {
    waiting: Awaited,
    since: Instant,
    /// How long content was awaited before `since`.
    content_awaited: Duration,
    /// Bytes of content received, including framing; while draining, the discarded bytes.
    content_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// Nothing, or something from the application.
    Nothing,
    FirstByte,
    Head,
    Content,
    DrainEnd,
    NextRequest,
}

impl PeerDeadline {
    /// Starts the first deadline of an accepted connection.
    pub(super) fn accepted(now: Instant) -> Self {
        Self {
            waiting: Awaited::FirstByte,
            since: now,
            content_awaited: Duration::ZERO,
            content_bytes: 0,
        }
    }

    /// Records that part of a head has arrived; only the first call starts the clock.
    pub(super) fn head_begun(&mut self, now: Instant) {
        if self.waiting != Awaited::Head {
            self.wait(Awaited::Head, now);
        }
    }

    /// Records that a head is complete.
    pub(super) fn head_ended(&mut self) {
        self.waiting = Awaited::Nothing;
        self.content_awaited = Duration::ZERO;
        self.content_bytes = 0;
    }

    /// Records that more content is awaited. The clock keeps running unless `bytes` have arrived since the last call.
    pub(super) fn content_awaited(&mut self, bytes: usize, now: Instant) {
        if self.waiting != Awaited::Content || bytes > 0 {
            self.content_came(bytes, now);
            self.wait(Awaited::Content, now);
        }
    }

    /// Records that content has arrived, and stops the clock while the application uses it.
    pub(super) fn content_came(&mut self, bytes: usize, now: Instant) {
        self.content_bytes = self.content_bytes.saturating_add(bytes as u64);
        if self.waiting == Awaited::Content {
            let waited = now.saturating_duration_since(self.since);
            self.content_awaited = self.content_awaited.saturating_add(waited);
            self.waiting = Awaited::Nothing;
        }
    }

    /// Starts the deadline for discarding content.
    pub(super) fn drain_begun(&mut self, now: Instant) {
        self.content_bytes = 0;
        self.wait(Awaited::DrainEnd, now);
    }

    /// Adds discarded bytes and returns their total.
    pub(super) fn drained(&mut self, bytes: usize) -> u64 {
        self.content_bytes = self.content_bytes.saturating_add(bytes as u64);
        self.content_bytes
    }

    /// Starts the idle timeout between two requests.
    pub(super) fn exchange_ended(&mut self, now: Instant) {
        self.wait(Awaited::NextRequest, now);
    }

    /// Returns since when the connection has been idle between two requests, if it is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.waiting == Awaited::NextRequest).then_some(self.since)
    }

    /// Returns when the current or last wait began.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Stops the clock: the peer owes nothing.
    pub(super) fn clear(&mut self) {
        self.waiting = Awaited::Nothing;
    }

    /// Returns the deadline, or `None` if the peer owes nothing or the time is out of range.
    pub(super) fn at(&self, limits: &Limits) -> Option<Instant> {
        let timeout = match self.waiting {
            Awaited::Nothing => return None,
            Awaited::FirstByte => limits.first_byte_timeout.unwrap_or(limits.header_timeout),
            Awaited::Head => limits.header_timeout,
            Awaited::Content => self.content_timeout(limits),
            Awaited::DrainEnd => limits.drain_timeout,
            Awaited::NextRequest => limits.idle_timeout,
        };
        self.since.checked_add(timeout)
    }

    /// Returns what has expired, if anything.
    pub(super) fn expired(&self, limits: &Limits, now: Instant) -> Option<Expired> {
        if now < self.at(limits)? {
            return None;
        }
        match self.waiting {
            Awaited::Nothing => None,
            Awaited::FirstByte | Awaited::NextRequest => Some(Expired::Idle),
            Awaited::Head => Some(Expired::Head),
            Awaited::Content => Some(Expired::Body),
            Awaited::DrainEnd => Some(Expired::Drain),
        }
    }

    /// Returns the shorter of the allowed pause and the time until the average rate falls below the minimum.
    ///
    /// Each received byte pays for `1 / min_body_rate` seconds of waiting, and the first `body_rate_grace`
    /// is free.
    fn content_timeout(&self, limits: &Limits) -> Duration {
        let Some(paid_millis) = self
            .content_bytes
            .saturating_mul(1000)
            .checked_div(limits.min_body_rate)
        else {
            return limits.body_timeout;
        };
        let paid = Duration::from_millis(paid_millis).max(limits.body_rate_grace);
        limits.body_timeout.min(paid.saturating_sub(self.content_awaited))
    }

    fn wait(&mut self, waiting: Awaited, now: Instant) {
        self.waiting = waiting;
        self.since = now;
    }
}
