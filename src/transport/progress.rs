//! Whether a peer takes its response fast enough to be worth the memory it holds (rows B03 of the attack list): it may stall for so
//! long, and after a grace period it must keep a minimum rate.

use std::time::{Duration, Instant};

use squall_shards::Sent;

/// After a send of more than this, the connection waits for the peer to take it before it goes on.
pub(crate) const UNWATCHED_BYTES_MAX: usize = 16 * 1024;

/// Bounds on how slowly a response may be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WriteLimits {
    pub(crate) stall_timeout: Duration,
    pub(crate) bytes_per_second_min: u64,
    pub(crate) rate_grace: Duration,
}

/// How a peer has been taking bytes since a wait for it began.
#[derive(Debug)]
pub(crate) struct Progress {
    began: Instant,
    sent_at_begin: u64,
    moved: Instant,
    sent: u64,
    /// When to ask next what the peer has acknowledged.
    look: Instant,
    /// What it had acknowledged at the first look, and at the last.
    acknowledged: Option<[i64; 2]>,
}

/// How often the acknowledgements of a peer are looked at in the time that it may stall. 8: a stall is seen an eighth of that time too late at the
/// most.
const LOOKS_A_STALL: u32 = 8;

impl Progress {
    /// Begins to watch; `sent` is how far the stream has come.
    pub(crate) fn new(now: Instant, sent: Sent, limits: &WriteLimits) -> Self {
        Self {
            look: now + limits.stall_timeout / LOOKS_A_STALL,
            acknowledged: None,
            began: now,
            sent_at_begin: sent.bytes,
            moved: now,
            sent: sent.bytes,
        }
    }

    /// Notes how far the peer has come; `false` if it is too slow. What it has taken counts from when it took it: a part of what is sent
    /// wakes no task, and so is seen later than that.
    ///
    /// The kernel takes more only when much of its buffer is free, so a slow peer is also judged by what it acknowledges:
    /// `unacknowledged_bytes` is asked now and then.
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
        if now >= self.look {
            self.look = now + limits.stall_timeout / LOOKS_A_STALL;
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
        let is_slow =
            waited >= limits.rate_grace && taken < limits.bytes_per_second_min.saturating_mul(waited.as_secs());
        now.duration_since(self.moved) < limits.stall_timeout && !is_slow
    }

    /// When to look again.
    pub(crate) fn deadline(&self, now: Instant, limits: &WriteLimits) -> Instant {
        let stall = self.moved + limits.stall_timeout;
        let rate = (self.began + limits.rate_grace).max(now + Duration::from_secs(1));
        stall.min(rate).min(self.look)
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, Sent, WriteLimits};
    use std::time::{Duration, Instant};

    const LIMITS: WriteLimits = WriteLimits {
        stall_timeout: Duration::from_secs(30),
        bytes_per_second_min: 240,
        rate_grace: Duration::from_secs(60),
    };

    #[expect(clippy::disallowed_methods, reason = "any moment will do as the origin of a test")]
    fn origin() -> Instant {
        Instant::now()
    }

    /// This number of bytes taken, at an unknown time.
    fn taken(bytes: u64) -> Sent {
        Sent { bytes, advanced: None }
    }

    /// The peer acknowledges nothing of what the kernel has.
    fn none_more() -> u64 {
        1_000_000
    }

    #[test]
    fn a_peer_that_takes_nothing_is_given_up_after_the_stall_timeout() {
        let start = origin();
        let mut progress = Progress::new(start, taken(1000), &LIMITS);
        assert!(progress.note(start + Duration::from_secs(29), taken(1000), none_more, &LIMITS));
        assert!(!progress.note(start + Duration::from_secs(30), taken(1000), none_more, &LIMITS));
    }

    #[test]
    fn every_byte_taken_puts_the_stall_off_but_the_rate_is_asked_for_in_the_end() {
        let start = origin();
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
        let start = origin();
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

    /// The look after the stall timeout finds a part that was taken long before: from then on the peer has taken nothing.
    #[test]
    fn a_stall_counts_from_when_the_peer_took_something_and_not_from_when_that_is_seen() {
        let start = origin();
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
    fn what_was_taken_before_the_wait_began_makes_the_wait_no_shorter() {
        let start = origin() + Duration::from_secs(100);
        let mut progress = Progress::new(start, taken(0), &LIMITS);
        let sent = Sent {
            bytes: 500,
            advanced: start.checked_sub(Duration::from_secs(50)),
        };
        assert!(progress.note(start + Duration::from_secs(29), sent, none_more, &LIMITS));
        assert!(!progress.note(start + Duration::from_secs(30), sent, none_more, &LIMITS));
    }

    /// The kernel takes 64 KiB at a time, which a peer at 1,000 bytes a second needs a minute for: what it acknowledges meanwhile counts.
    #[test]
    fn a_peer_that_acknowledges_steadily_is_served_although_the_kernel_takes_nothing_more() {
        let start = origin();
        let mut progress = Progress::new(start, taken(0), &LIMITS);
        for second in 1..600 {
            let now = start + Duration::from_secs(second);
            let left = 1_000_000 - second * 1000;
            assert!(progress.note(now, taken(0), || left, &LIMITS), "second {second}");
        }
        // It stops: what it had acknowledged was seen by the look of an eighth of the stall timeout later.
        let stopped = start + Duration::from_secs(600);
        assert!(progress.note(stopped + Duration::from_secs(4), taken(0), || 401_000, &LIMITS));
        assert!(!progress.note(stopped + Duration::from_secs(34), taken(0), || 401_000, &LIMITS));
    }
}
