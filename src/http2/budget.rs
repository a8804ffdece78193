//! What a peer may do without use: resets, control frames, small DATA frames (`docs/threats.md#http2-resets`).
//!
//! One place counts all of it, so an attack that avoids one count meets another. A budget refills with time, and partly
//! with requests and content that moves.

use core::time::Duration;
use std::time::Instant;

use super::error::ConnectionError;
use super::limits::Limits;

/// The budgets of a connection.
#[derive(Debug)]
pub(super) struct Budget {
    resets: Refilled,
    control: Refilled,
    /// Small DATA frames whose content no handler has taken.
    small_data: u32,
    /// Content that has moved and not yet paid for a control frame.
    content_bytes: usize,
}

/// A budget that refills with time.
#[derive(Debug, Clone, Copy)]
struct Refilled {
    left: u32,
    refilled_at: Instant,
}

/// Content that pays for one control frame: 16 KiB.
const BYTES_PER_CONTROL_FRAME: usize = 16 * 1024;

/// How much more sent content pays than received content.
const SENT_FACTOR: usize = 4;

/// Control frames that a request pays for. 2: grpcio sends a WINDOW_UPDATE with each request, and another for every second
/// response.
const FRAMES_PER_REQUEST: u32 = 2;

impl Refilled {
    /// Takes one; false if none is left.
    fn take(&mut self, now: Instant, max: u32, per_second: u32) -> bool {
        let elapsed = now.saturating_duration_since(self.refilled_at);
        let refill = elapsed.as_millis().saturating_mul(per_second.into()) / 1000;
        if let Ok(refill @ 1..) = u32::try_from(refill.min(max.into())) {
            self.left = self.left.saturating_add(refill).min(max);
            // The rest of the division stays for the next refill.
            let paid = Duration::from_millis(u64::from(refill) * 1000 / u64::from(per_second.max(1)));
            self.refilled_at = if self.left == max { now } else { self.refilled_at + paid };
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

impl Budget {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let full = |left| Refilled { left, refilled_at: now };
        Self {
            resets: full(limits.max_resets),
            control: full(limits.max_control_frames),
            small_data: 0,
            content_bytes: 0,
        }
    }

    /// Charges a reset, by the peer or because of it.
    pub(super) fn charge_reset(&mut self, limits: &Limits, now: Instant) -> Result<(), ConnectionError> {
        if self.resets.take(now, limits.max_resets, limits.resets_per_second) {
            Ok(())
        } else {
            Err(ConnectionError::calm("too many resets"))
        }
    }

    /// Charges a frame without use.
    pub(super) fn charge_control(&mut self, limits: &Limits, now: Instant) -> Result<(), ConnectionError> {
        if self
            .control
            .take(now, limits.max_control_frames, limits.control_frames_per_second)
        {
            Ok(())
        } else {
            Err(ConnectionError::calm("too many control frames"))
        }
    }

    /// Charges a small DATA frame, until [`forgive_small_data`](Self::forgive_small_data).
    pub(super) fn charge_small_data(&mut self, limits: &Limits) -> Result<(), ConnectionError> {
        self.small_data = self.small_data.saturating_add(1);
        if self.small_data > limits.max_small_data_frames {
            return Err(ConnectionError::calm("too many small DATA frames"));
        }
        Ok(())
    }

    /// Forgives small DATA frames, once a handler has taken their content, or their stream is closed.
    pub(super) fn forgive_small_data(&mut self, frames: u32) {
        self.small_data = self.small_data.saturating_sub(frames);
    }

    pub(super) fn received(&mut self, bytes: usize, limits: &Limits) {
        self.moved(bytes, limits);
    }

    pub(super) fn sent(&mut self, bytes: usize, limits: &Limits) {
        self.moved(bytes.saturating_mul(SENT_FACTOR), limits);
    }

    /// Pays for control frames with a request that was opened.
    pub(super) fn opened(&mut self, limits: &Limits) {
        self.pay(FRAMES_PER_REQUEST, limits);
    }

    fn moved(&mut self, bytes: usize, limits: &Limits) {
        let moved = self.content_bytes.saturating_add(bytes);
        self.content_bytes = moved % BYTES_PER_CONTROL_FRAME;
        let paid = u32::try_from(moved / BYTES_PER_CONTROL_FRAME).unwrap_or(u32::MAX);
        self.pay(paid, limits);
    }

    fn pay(&mut self, frames: u32, limits: &Limits) {
        self.control.left = self.control.left.saturating_add(frames).min(limits.max_control_frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::testing::epoch;

    #[test]
    fn a_budget_refills_with_time_up_to_its_maximum() {
        let (limits, start) = (Limits::default(), epoch());
        let mut budget = Budget::new(&limits, start);
        let spend = |budget: &mut Budget, at: Instant| -> u32 {
            let charges = std::iter::from_fn(|| budget.charge_reset(&limits, at).ok());
            u32::try_from(charges.count()).unwrap()
        };
        assert_eq!(spend(&mut budget, start), 100);
        assert_eq!(spend(&mut budget, start + Duration::from_millis(99)), 0);
        assert_eq!(spend(&mut budget, start + Duration::from_millis(100)), 1);
        assert_eq!(spend(&mut budget, start + Duration::from_millis(350)), 2);
        assert_eq!(spend(&mut budget, start + Duration::from_millis(400)), 1);
        assert_eq!(spend(&mut budget, start + Duration::from_secs(3600)), 100);
    }

    #[test]
    fn content_and_requests_pay_for_control_frames() {
        let (limits, start) = (Limits::default(), epoch());
        let mut budget = Budget::new(&limits, start);
        let spend = |budget: &mut Budget| std::iter::from_fn(|| budget.charge_control(&limits, start).ok()).count();
        assert_eq!(spend(&mut budget), 200);
        budget.received(16 * 1024 - 1, &limits);
        assert_eq!(spend(&mut budget), 0);
        budget.received(1, &limits);
        assert_eq!(spend(&mut budget), 1);
        budget.sent(16 * 1024, &limits);
        assert_eq!(spend(&mut budget), 4);
        budget.opened(&limits);
        assert_eq!(spend(&mut budget), 2);
    }
}
