//! Until when the peer must have done what: the clock of one connection, told the time by its caller.
//!
//! Only one thing is waited for at a time. A head has an absolute deadline, since a peer that sends a byte now and then
//! makes no progress worth having (RFC 9112 §9.5 leaves timeouts to the server). Content has two: the pause between two
//! arrivals, and the average rate over the time that it was *awaited*: time in which the application was not asking for
//! content is not the peer's fault.

use core::time::Duration;
use std::time::Instant;

use super::error::Expired;
use super::limits::Limits;

/// What is waited for, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerDeadline {
    waiting: Awaited,
    since: Instant,
    /// How long content has been awaited, before `since`.
    content_awaited: Duration,
    /// How many bytes of content, framing included, have come; while it is thrown away, how many of those.
    content_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// For nobody, or for the application.
    Nothing,
    FirstByte,
    Head,
    Content,
    DrainEnd,
    NextRequest,
}

impl PeerDeadline {
    /// A connection has been accepted.
    pub(super) fn accepted(now: Instant) -> Self {
        Self {
            waiting: Awaited::FirstByte,
            since: now,
            content_awaited: Duration::ZERO,
            content_bytes: 0,
        }
    }

    /// A byte of a head has come and the head is not whole. Only the first such call starts the clock.
    pub(super) fn head_begun(&mut self, now: Instant) {
        if self.waiting != Awaited::Head {
            self.wait(Awaited::Head, now);
        }
    }

    /// A whole head has come.
    pub(super) fn head_ended(&mut self) {
        self.waiting = Awaited::Nothing;
        self.content_awaited = Duration::ZERO;
        self.content_bytes = 0;
    }

    /// More content is awaited than has come. The clock goes on unless `bytes` have come since the last call.
    pub(super) fn content_awaited(&mut self, bytes: usize, now: Instant) {
        if self.waiting != Awaited::Content || bytes > 0 {
            self.content_came(bytes, now);
            self.wait(Awaited::Content, now);
        }
    }

    /// Content has come, and the application is busy with it.
    pub(super) fn content_came(&mut self, bytes: usize, now: Instant) {
        self.content_bytes = self.content_bytes.saturating_add(bytes as u64);
        if self.waiting == Awaited::Content {
            let waited = now.saturating_duration_since(self.since);
            self.content_awaited = self.content_awaited.saturating_add(waited);
            self.waiting = Awaited::Nothing;
        }
    }

    /// Unwanted content is thrown away from now on.
    pub(super) fn drain_begun(&mut self, now: Instant) {
        self.content_bytes = 0;
        self.wait(Awaited::DrainEnd, now);
    }

    /// Unwanted content has come; says how much of it so far.
    pub(super) fn drained(&mut self, bytes: usize) -> u64 {
        self.content_bytes = self.content_bytes.saturating_add(bytes as u64);
        self.content_bytes
    }

    /// The connection is idle between two requests.
    pub(super) fn exchange_ended(&mut self, now: Instant) {
        self.wait(Awaited::NextRequest, now);
    }

    /// Since when the connection has been idle between two requests, if it is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.waiting == Awaited::NextRequest).then_some(self.since)
    }

    /// Nothing is expected of the peer.
    pub(super) fn clear(&mut self) {
        self.waiting = Awaited::Nothing;
    }

    /// When the patience ends; `None` where nothing is waited for, or for longer than the clock can show.
    pub(super) fn at(&self, limits: &Limits) -> Option<Instant> {
        let timeout = match self.waiting {
            Awaited::Nothing => return None,
            Awaited::FirstByte => limits.first_byte_timeout,
            Awaited::Head => limits.header_timeout,
            Awaited::Content => self.content_timeout(limits),
            Awaited::DrainEnd => limits.drain_timeout,
            Awaited::NextRequest => limits.idle_timeout,
        };
        self.since.checked_add(timeout)
    }

    /// What has expired, if anything has.
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

    /// The shorter of the pause allowed and the time until the rate falls below the minimum if nothing more comes. What
    /// has come pays for so much time of awaiting; the grace is a gift.
    fn content_timeout(&self, limits: &Limits) -> Duration {
        let Some(paid_millis) = self
            .content_bytes
            .saturating_mul(1000)
            .checked_div(limits.body_bytes_per_second_min)
        else {
            return limits.body_gap_timeout;
        };
        let paid = Duration::from_millis(paid_millis).max(limits.body_rate_grace);
        limits.body_gap_timeout.min(paid.saturating_sub(self.content_awaited))
    }

    fn wait(&mut self, waiting: Awaited, now: Instant) {
        self.waiting = waiting;
        self.since = now;
    }
}
