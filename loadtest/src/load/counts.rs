//! The counts of one thread, and how those of all threads become the result of the run.
//!
//! The send time (open loop: due time) decides whether a request's latency counts. The arrival time decides whether its
//! answer counts as throughput. So the latencies include a stall at the end of the window, although its answers are too
//! late for the throughput.

use std::ops::Range;

use super::clock::Nanos;
use super::latency::Latencies;
use super::run_result::{Errors, Failure, RunResult};

/// The counts of one thread.
#[derive(Debug)]
pub(crate) struct Counts {
    /// The timed window; `MAX..MAX` until it is known.
    pub(crate) window: Range<Nanos>,
    pub(crate) latencies: Latencies,
    pub(crate) requests: u64,
    /// The most answers that count in the window; further ones count as late.
    pub(crate) requests_max: u64,
    pub(crate) warmup_requests: u64,
    pub(crate) late_requests: u64,
    pub(crate) unanswered: u64,
    pub(crate) unsent: u64,
    pub(crate) errors: Errors,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) connections_opened: u64,
    pub(crate) still_open: u64,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            window: Nanos::MAX..Nanos::MAX,
            latencies: Latencies::new(),
            requests: 0,
            requests_max: u64::MAX,
            warmup_requests: 0,
            late_requests: 0,
            unanswered: 0,
            unsent: 0,
            errors: Errors::default(),
            bytes_received: 0,
            bytes_sent: 0,
            connections_opened: 0,
            still_open: 0,
        }
    }

    /// Counts a correct answer that arrived at `now`; its latency counts from `since`.
    pub(crate) fn answered(&mut self, since: Nanos, now: Nanos) {
        if now < self.window.start {
            self.warmup_requests += 1;
        } else if now < self.window.end && self.requests < self.requests_max {
            self.requests += 1;
        } else {
            self.late_requests += 1;
        }
        self.record(since, now);
    }

    /// Counts a request that is unanswered at `now`, the end of the run.
    pub(crate) fn unanswered(&mut self, since: Nanos, now: Nanos) {
        self.unanswered += 1;
        self.record(since, now);
    }

    /// Counts `times` requests due at `since` and unsent at `now`, the end of the run; ignores those due outside the
    /// window.
    pub(crate) fn unsent(&mut self, since: Nanos, now: Nanos, times: u64) {
        if self.window.contains(&since) {
            self.unsent += times;
            self.latencies.record_many(now.saturating_sub(since), times);
        }
    }

    /// Counts `times` failed requests.
    pub(crate) fn failed(&mut self, failure: Failure, times: u64) {
        self.errors.count(failure, times);
    }

    pub(crate) fn received(&mut self, bytes: usize, now: Nanos) {
        if self.window.contains(&now) {
            self.bytes_received += bytes as u64;
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize, now: Nanos) {
        if self.window.contains(&now) {
            self.bytes_sent += bytes as u64;
        }
    }

    /// Adds the counts of another thread.
    pub(crate) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.requests += other.requests;
        self.warmup_requests += other.warmup_requests;
        self.late_requests += other.late_requests;
        self.unanswered += other.unanswered;
        self.unsent += other.unsent;
        self.errors += other.errors;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.connections_opened += other.connections_opened;
        self.still_open += other.still_open;
    }

    /// Returns the result of a run whose window took `elapsed_seconds`.
    pub(crate) fn into_result(self, elapsed_seconds: f64, interrupted: bool) -> RunResult {
        let rate = if elapsed_seconds > 0.0 {
            self.requests as f64 / elapsed_seconds
        } else {
            0.0
        };
        RunResult {
            elapsed_seconds,
            requests: self.requests,
            requests_per_second: rate,
            warmup_requests: self.warmup_requests,
            late_requests: self.late_requests,
            unanswered: self.unanswered,
            unsent: self.unsent,
            errors: self.errors,
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            connections_opened: self.connections_opened,
            latency: self.latencies.summarize(),
            still_open: None,
            fan_out: None,
            slow_heads: None,
            handshakes: None,
            interrupted,
        }
    }

    fn record(&mut self, since: Nanos, now: Nanos) {
        if self.window.contains(&since) {
            self.latencies.record(now.saturating_sub(since));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_count_by_arrival_and_latencies_by_due_time() {
        let mut counts = Counts {
            window: 1_000_000..2_000_000,
            ..Counts::new()
        };
        counts.answered(500_000, 600_000);
        counts.answered(900_000, 1_100_000);
        counts.answered(1_200_000, 1_500_000);
        counts.answered(1_900_000, 2_300_000);
        counts.unanswered(1_950_000, 2_500_000);
        counts.unsent(1_999_999, 2_500_000, 1);
        counts.unsent(2_000_000, 2_500_000, 1);
        assert_eq!(
            (counts.warmup_requests, counts.requests, counts.late_requests),
            (1, 2, 1)
        );
        let outcome = counts.into_result(0.001, false);
        let latency = outcome.latency.unwrap();
        assert_eq!((latency.count, outcome.unanswered, outcome.unsent), (4, 1, 1));
        assert!(
            (latency.max_us - 550.0).abs() < 1.0 && (latency.min_us - 300.0).abs() < 1.0,
            "{latency:?}"
        );
        assert!((outcome.requests_per_second - 2000.0).abs() < 1e-6);
    }
}
