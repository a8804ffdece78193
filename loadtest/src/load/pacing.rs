//! When requests are sent: as soon as an answer arrives, or by a schedule.
//!
//! A schedule is arithmetic, not a queue: request `k` is due at `start + k / rate`. So waiting requests take no memory,
//! all of them are counted, and latency counts from when a request was due. A stalled server cannot hide its stall
//! (coordinated omission).

use super::clock::Nanos;

/// When the connections of a run send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pacing {
    /// Closed loop: each connection sends whenever its pipeline has room.
    Closed,
    /// Open loop: requests are due at a rate.
    Open(Rate),
    /// A new connection for each request; latency counts from the start of connecting.
    Churn,
    /// Each HTTP connection sends one request before the window; a WebSocket completes its handshake. All stay silent
    /// afterwards.
    Hold,
}

/// A rate over all threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// More than 0.
    pub(crate) per_second: f64,
    /// Requests due at the same moment; at least 1.
    pub(crate) burst: usize,
    /// Threads that share the schedule round-robin; at least 1.
    pub(crate) threads: usize,
}

/// One thread's share of the schedule.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    start: Nanos,
    /// Nanoseconds from one request to the next over all threads; a fraction.
    interval: f64,
    burst: u64,
    /// The number of this thread's next request, counted over all threads.
    next: u64,
    step: u64,
}

impl Schedule {
    /// Returns the share of thread number `thread`; `None` from `rate.threads` on.
    pub(crate) fn of_thread(rate: Rate, thread: usize, start: Nanos) -> Option<Self> {
        (thread < rate.threads).then(|| Self {
            start,
            interval: 1e9 / rate.per_second,
            burst: rate.burst.max(1) as u64,
            next: thread as u64,
            step: rate.threads as u64,
        })
    }

    /// Returns when the next request is due.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a schedule is as long as a run, a day at most"
    )]
    #[expect(clippy::cast_sign_loss, reason = "neither factor is negative")]
    pub(crate) fn due(&self) -> Nanos {
        let first_of_burst = self.next - self.next % self.burst;
        self.start + (first_of_burst as f64 * self.interval) as Nanos
    }

    /// Returns how many of this thread's remaining requests are due before `end`.
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

    /// Removes the next `count` requests from the schedule.
    pub(crate) fn skip(&mut self, count: u64) {
        self.next += self.step * count;
    }

    /// Removes the next request from the schedule.
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
    fn burst_is_due_at_one_moment_at_the_same_rate() {
        let rate = Rate {
            per_second: 1e7,
            burst: 3,
            threads: 1,
        };
        assert_eq!(dues(rate, 0, 7), [1_000, 1_000, 1_000, 1_300, 1_300, 1_300, 1_600]);
    }

    #[test]
    fn left_counts_the_remaining_requests() {
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
