//! When requests are sent: at once when an answer comes, or when a schedule says so.
//!
//! A schedule is arithmetic, not a queue: request `k` is due at `start + k / rate`, so requests that wait for a connection cost no
//! memory, none is ever dropped, and each one's latency counts from when it was due. That is what keeps a stalled server from
//! hiding its stall (coordinated omission).

use super::clock::Nanos;

/// How the connections of a run are kept busy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pacing {
    /// Each connection sends as much as it has room for.
    Closed,
    /// Requests are due at a rate.
    Open(Rate),
    /// Each connection sends one request, whose latency counts from the start of connecting, and makes room for the next connection.
    Churn,
    /// Each connection sends one request before the run begins, and then nothing.
    Hold,
}

/// A rate for all threads together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// More than 0.
    pub(crate) per_second: f64,
    /// How many are due at the same moment; at least 1.
    pub(crate) burst: usize,
    /// How many threads, counted from the first, share the schedule in turn; at least 1.
    pub(crate) threads: usize,
}

/// What one thread sends when.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    start: Nanos,
    /// Time from one request to the next, all threads together; not a whole number.
    interval: f64,
    burst: u64,
    /// The next request of this thread, counted over all threads.
    next: u64,
    step: u64,
}

impl Schedule {
    /// The share of thread `thread`; `None` if it has none.
    pub(crate) fn of_thread(rate: Rate, thread: usize, start: Nanos) -> Option<Self> {
        (thread < rate.threads).then(|| Self {
            start,
            interval: 1e9 / rate.per_second,
            burst: rate.burst.max(1) as u64,
            next: thread as u64,
            step: rate.threads as u64,
        })
    }

    /// When the next request is due.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a schedule is as long as a run, a day at most"
    )]
    #[expect(clippy::cast_sign_loss, reason = "neither factor is negative")]
    pub(crate) fn due(&self) -> Nanos {
        let first_of_burst = self.next - self.next % self.burst;
        self.start + (first_of_burst as f64 * self.interval) as Nanos
    }

    /// How many requests of this thread are due before `end` and not taken yet.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a rate is bounded, and a run is a day at most"
    )]
    #[expect(clippy::cast_sign_loss, reason = "no factor is negative")]
    pub(crate) fn left(&self, end: Nanos) -> u64 {
        let bursts = (end.saturating_sub(self.start) as f64 / self.interval / self.burst as f64).ceil() as u64;
        bursts
            .saturating_mul(self.burst)
            .saturating_sub(self.next)
            .div_ceil(self.step)
    }

    /// Takes the next `count` requests off the schedule.
    pub(crate) fn skip(&mut self, count: u64) {
        self.next += self.step * count;
    }

    /// Takes the next request off the schedule.
    pub(crate) fn advance(&mut self) {
        self.next += self.step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(rate: Rate, thread: usize, count: usize) -> Vec<Nanos> {
        let mut schedule = Schedule::of_thread(rate, thread, 1_000).unwrap();
        let next = || {
            let due = schedule.due();
            schedule.advance();
            due
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn threads_share_a_rate_evenly() {
        let rate = Rate {
            per_second: 2e9 / 100.0,
            burst: 1,
            threads: 2,
        };
        assert_eq!(dues(rate, 0, 3), [1_000, 1_100, 1_200]);
        assert_eq!(dues(rate, 1, 3), [1_050, 1_150, 1_250]);
        assert!(Schedule::of_thread(rate, 2, 0).is_none());
    }

    #[test]
    fn burst_is_due_at_once_at_the_same_rate() {
        let rate = Rate {
            per_second: 1e7,
            burst: 3,
            threads: 1,
        };
        assert_eq!(dues(rate, 0, 7), [1_000, 1_000, 1_000, 1_300, 1_300, 1_300, 1_600]);
    }

    #[test]
    fn what_is_left_is_what_would_still_be_taken() {
        for (per_second, burst, threads) in [(1e7, 1, 1), (1e7, 3, 1), (7e6, 1, 2), (3e6, 5, 4)] {
            let rate = Rate {
                per_second,
                burst,
                threads,
            };
            for thread in 0..threads {
                let mut schedule = Schedule::of_thread(rate, thread, 1_000).unwrap();
                let end = 10_007;
                let left = schedule.left(end);
                schedule.skip(left - 1);
                assert!(schedule.due() < end, "{rate:?}");
                schedule.advance();
                assert!(schedule.due() >= end && schedule.left(end) == 0, "{rate:?}");
            }
        }
    }

    #[test]
    fn uneven_rate_does_not_drift() {
        let rate = Rate {
            per_second: 3.0,
            burst: 1,
            threads: 1,
        };
        let last = *dues(rate, 0, 3_000_001).last().unwrap();
        assert_eq!(last, 1_000 + 1_000_000 * 1_000_000_000);
    }
}
