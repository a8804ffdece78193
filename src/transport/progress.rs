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
}

impl Progress {
    /// Begins to watch; `sent` is how far the stream has come.
    pub(crate) fn new(now: Instant, sent: Sent) -> Self {
        Self {
            began: now,
            sent_at_begin: sent.bytes,
            moved: now,
            sent: sent.bytes,
        }
    }

    /// Notes how far the peer has come; `false` if it is too slow. What it has taken counts from when it took it: a part of what is sent
    /// wakes no task, and so is seen later than that.
    pub(crate) fn note(&mut self, now: Instant, sent: Sent, limits: &WriteLimits) -> bool {
        if sent.bytes > self.sent {
            self.sent = sent.bytes;
            self.moved = sent.advanced.map_or(now, |advanced| advanced.max(self.moved));
        }
        let waited = now.duration_since(self.began);
        let taken = sent.bytes - self.sent_at_begin;
        let is_slow =
            waited >= limits.rate_grace && taken < limits.bytes_per_second_min.saturating_mul(waited.as_secs());
        now.duration_since(self.moved) < limits.stall_timeout && !is_slow
    }

    /// When to look again.
    pub(crate) fn deadline(&self, now: Instant, limits: &WriteLimits) -> Instant {
        let stall = self.moved + limits.stall_timeout;
        let rate = (self.began + limits.rate_grace).max(now + Duration::from_secs(1));
        stall.min(rate)
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

    #[test]
    fn a_peer_that_takes_nothing_is_given_up_after_the_stall_timeout() {
        let start = origin();
        let mut progress = Progress::new(start, taken(1000));
        assert!(progress.note(start + Duration::from_secs(29), taken(1000), &LIMITS));
        assert!(!progress.note(start + Duration::from_secs(30), taken(1000), &LIMITS));
    }

    #[test]
    fn every_byte_taken_puts_the_stall_off_but_the_rate_is_asked_for_in_the_end() {
        let start = origin();
        let mut progress = Progress::new(start, taken(0));
        for second in 1..60 {
            assert!(
                progress.note(start + Duration::from_secs(second), taken(second), &LIMITS),
                "second {second}"
            );
        }
        assert!(!progress.note(start + Duration::from_secs(60), taken(60), &LIMITS));
    }

    #[test]
    fn a_peer_at_the_minimum_rate_is_served_to_the_end() {
        let start = origin();
        let mut progress = Progress::new(start, taken(5));
        for second in 1..600 {
            let now = start + Duration::from_secs(second);
            assert!(progress.note(now, taken(5 + second * 240), &LIMITS), "second {second}");
            assert!(progress.deadline(now, &LIMITS) > now);
        }
    }

    /// The look after the stall timeout finds a part that was taken long before: from then on the peer has taken nothing.
    #[test]
    fn a_stall_counts_from_when_the_peer_took_something_and_not_from_when_that_is_seen() {
        let start = origin();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut progress = Progress::new(start, taken(0));
        assert_eq!(progress.deadline(start, &LIMITS), after(30));
        let sent = Sent {
            bytes: 500,
            advanced: Some(after(2)),
        };
        assert!(progress.note(after(30), sent, &LIMITS));
        assert_eq!(progress.deadline(after(30), &LIMITS), after(32));
        assert!(!progress.note(after(32), sent, &LIMITS));
    }

    #[test]
    fn what_was_taken_before_the_wait_began_makes_the_wait_no_shorter() {
        let start = origin() + Duration::from_secs(100);
        let mut progress = Progress::new(start, taken(0));
        let sent = Sent {
            bytes: 500,
            advanced: start.checked_sub(Duration::from_secs(50)),
        };
        assert!(progress.note(start + Duration::from_secs(29), sent, &LIMITS));
        assert!(!progress.note(start + Duration::from_secs(30), sent, &LIMITS));
    }
}
