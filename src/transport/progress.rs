//! Whether a peer takes its response fast enough for the memory it holds (`docs/threats.md#slow-reader`).
//!
//! A stall has a limit, and after a grace period the rate has a minimum.

use std::time::{Duration, Instant};

use squall_shards::Sent;

use crate::settings::{Bytes, PositiveTime, Time, settings};

/// Largest send in bytes after which a connection continues at once; after a larger one it waits for the peer.
pub(crate) const UNWATCHED_BYTES_MAX: usize = 16 * 1024;

settings! {
    /// Bounds on how slowly a peer may take sent bytes.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct WriteLimits, set by write_setters through write {
        /// Longest time a peer may accept nothing of a response; then the server aborts the connection.
        ///
        /// 30 s: half of nginx's, because there is a minimum rate as well.
        [PositiveTime] write_timeout: Duration = Duration::from_secs(30),
        /// Fewest bytes per second a peer may accept of a response; below them the server aborts, and 0 turns this off.
        ///
        /// 240: Kestrel's.
        [Bytes] min_write_rate: u64 = 240,
        /// Time to send a response before --min-write-rate applies.
        ///
        /// The default is 60 s.
        [Time] write_rate_grace: Duration = Duration::from_secs(60),
    }
}

/// The bytes that a peer has taken since a wait for it began.
#[derive(Debug)]
pub(crate) struct Progress {
    began: Instant,
    sent_at_begin: u64,
    moved: Instant,
    sent: u64,
    /// When to check the peer's acknowledgements next.
    next_check: Instant,
    /// Acknowledged bytes at the first check and at the last.
    acknowledged: Option<[i64; 2]>,
}

/// Checks of the acknowledgements in one stall timeout. 8: a stall is noticed at most an eighth of the timeout late.
const CHECKS_PER_STALL: u32 = 8;

impl Progress {
    /// Begins to watch; `sent` is the socket's current count.
    pub(crate) fn new(now: Instant, sent: Sent, limits: &WriteLimits) -> Self {
        Self {
            next_check: now + limits.write_timeout / CHECKS_PER_STALL,
            acknowledged: None,
            began: now,
            sent_at_begin: sent.bytes,
            moved: now,
            sent: sent.bytes,
        }
    }

    /// Notes the socket's count; `false` if the peer is too slow.
    ///
    /// A partial send wakes no task and is noticed late, so taken bytes count from the time at which the kernel took
    /// them.
    ///
    /// The kernel takes more only when much of its buffer is free. So acknowledged bytes count too;
    /// `unacknowledged_bytes` is called now and then.
    pub(crate) fn note(
        &mut self,
        now: Instant,
        sent: Sent,
        unacknowledged_bytes: impl FnOnce() -> u64,
        limits: &WriteLimits,
    ) -> bool {
        if sent.bytes > self.sent {
            self.sent = sent.bytes;
            self.moved = sent.advanced.map_or(now, |advanced| advanced.max(self.moved));
        }
        if now >= self.next_check {
            self.next_check = now + limits.write_timeout / CHECKS_PER_STALL;
            let acknowledged = sent.bytes.wrapping_sub(unacknowledged_bytes()).cast_signed();
            let [_, last] = self.acknowledged.get_or_insert([acknowledged; 2]);
            if acknowledged > *last {
                *last = acknowledged;
                self.moved = now;
            }
        }
        let waited = now.duration_since(self.began);
        let acknowledged = self.acknowledged.map_or(0, |[first, last]| last - first);
        let taken = (sent.bytes - self.sent_at_begin).max(u64::try_from(acknowledged).unwrap_or_default());
        // Whole seconds, so that rounding never fails a peer at the minimum rate.
        let is_slow =
            waited >= limits.write_rate_grace && taken < limits.min_write_rate.saturating_mul(waited.as_secs());
        now.duration_since(self.moved) < limits.write_timeout && !is_slow
    }

    /// When to call [`note`](Self::note) again.
    pub(crate) fn deadline(&self, now: Instant, limits: &WriteLimits) -> Instant {
        let stall = self.moved + limits.write_timeout;
        let rate = (self.began + limits.write_rate_grace).max(now + Duration::from_secs(1));
        stall.min(rate).min(self.next_check)
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, Sent, WriteLimits};
    use crate::message::testing::epoch;
    use std::time::Duration;

    const LIMITS: WriteLimits = WriteLimits {
        write_timeout: Duration::from_secs(30),
        min_write_rate: 240,
        write_rate_grace: Duration::from_secs(60),
    };

    /// A count of taken bytes, at an unknown time.
    fn taken(bytes: u64) -> Sent {
        Sent { bytes, advanced: None }
    }

    /// The peer acknowledges nothing of what the kernel holds.
    fn none_more() -> u64 {
        1_000_000
    }

    #[test]
    fn a_peer_that_takes_nothing_is_too_slow_after_the_stall_timeout() {
        let start = epoch();
        let mut progress = Progress::new(start, taken(1000), &LIMITS);
        assert!(progress.note(start + Duration::from_secs(29), taken(1000), none_more, &LIMITS));
        assert!(!progress.note(start + Duration::from_secs(30), taken(1000), none_more, &LIMITS));
    }

    #[test]
    fn every_byte_taken_postpones_the_stall_but_the_rate_has_a_minimum() {
        let start = epoch();
        let mut progress = Progress::new(start, taken(0), &LIMITS);
        for second in 1..60 {
            assert!(
                progress.note(start + Duration::from_secs(second), taken(second), none_more, &LIMITS),
                "second {second}"
            );
        }
        assert!(!progress.note(start + Duration::from_secs(60), taken(60), none_more, &LIMITS));
    }

    #[test]
    fn a_peer_at_the_minimum_rate_is_served_to_the_end() {
        let start = epoch();
        let mut progress = Progress::new(start, taken(5), &LIMITS);
        for second in 1..600 {
            let now = start + Duration::from_secs(second);
            assert!(
                progress.note(now, taken(5 + second * 240), none_more, &LIMITS),
                "second {second}"
            );
            assert!(progress.deadline(now, &LIMITS) > now);
        }
    }

    /// The check after the stall timeout finds bytes that were taken long before; the stall counts from then.
    #[test]
    fn a_stall_counts_from_the_last_byte_taken() {
        let start = epoch();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut progress = Progress::new(start, taken(0), &LIMITS);
        assert_eq!(progress.deadline(start, &LIMITS), start + Duration::from_millis(3750));
        let sent = Sent {
            bytes: 500,
            advanced: Some(after(2)),
        };
        assert!(progress.note(after(30), sent, none_more, &LIMITS));
        assert_eq!(progress.deadline(after(30), &LIMITS), after(32));
        assert!(!progress.note(after(32), sent, none_more, &LIMITS));
    }

    #[test]
    fn bytes_taken_before_the_wait_do_not_shorten_it() {
        let start = epoch() + Duration::from_secs(100);
        let mut progress = Progress::new(start, taken(0), &LIMITS);
        let sent = Sent {
            bytes: 500,
            advanced: start.checked_sub(Duration::from_secs(50)),
        };
        assert!(progress.note(start + Duration::from_secs(29), sent, none_more, &LIMITS));
        assert!(!progress.note(start + Duration::from_secs(30), sent, none_more, &LIMITS));
    }

    /// The kernel takes 64 KiB at a time, for which a peer at 1,000 bytes a second needs a minute: acknowledged bytes
    /// count meanwhile.
    #[test]
    fn steady_acknowledgements_count_while_the_kernel_takes_nothing() {
        let start = epoch();
        let mut progress = Progress::new(start, taken(0), &LIMITS);
        for second in 1..600 {
            let now = start + Duration::from_secs(second);
            let left = 1_000_000 - second * 1000;
            assert!(progress.note(now, taken(0), || left, &LIMITS), "second {second}");
        }
        // The peer stops. The next check, an eighth of the stall timeout later, has seen its last acknowledgement.
        let stopped = start + Duration::from_secs(600);
        assert!(progress.note(stopped + Duration::from_secs(4), taken(0), || 401_000, &LIMITS));
        assert!(!progress.note(stopped + Duration::from_secs(34), taken(0), || 401_000, &LIMITS));
    }
}
