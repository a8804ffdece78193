//! The result of a run: printed, written as JSON, and turned into a sample.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use super::latency::LatencySummary;

/// The result of one run.
///
/// Each sent request counts in exactly one of `warmup_requests`, `requests`, `late_requests`, `unanswered` and
/// `errors`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunResult {
    /// Length of the window; shorter than planned after an interrupt.
    pub(crate) elapsed_seconds: f64,
    /// Correct answers that arrived in the window.
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    /// Correct answers before the window.
    pub(crate) warmup_requests: u64,
    /// Correct answers after the window, to requests sent in it.
    pub(crate) late_requests: u64,
    /// Requests still unanswered at the end of the run.
    pub(crate) unanswered: u64,
    /// Open loop: requests due in the window that found no free connection before its end.
    pub(crate) unsent: u64,
    pub(crate) errors: Errors,
    /// Bytes received in the window, heads included.
    pub(crate) bytes_received: u64,
    /// Bytes sent in the window, heads included.
    pub(crate) bytes_sent: u64,
    /// Connections opened during the run.
    pub(crate) connections_opened: u64,
    /// Latency of requests sent (open loop: due) in the window. Unanswered and unsent requests count with their age at
    /// the end of the run, a lower bound of their latency.
    pub(crate) latency: Option<LatencySummary>,
    /// Idle hold: connections still open at the end.
    pub(crate) still_open: Option<u64>,
    /// Fan-out: how many copies of each message arrived; `requests` then counts deliveries.
    pub(crate) fan_out: Option<Deliveries>,
    /// The slow heads beside the requests, if the plan has any.
    pub(crate) slow_heads: Option<SlowHeads>,
    /// How many handshakes were completed beside the requests, if the plan has any.
    pub(crate) handshakes: Option<u64>,
    /// Whether Ctrl-C ended the run early.
    pub(crate) interrupted: bool,
}

/// Connections with an unfinished request head, from before the warm-up to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlowHeads {
    /// Connections held open; the generator reopens each one that the server closes.
    pub(crate) held: u64,
    /// How often the server closed one.
    pub(crate) cut: u64,
}

/// The deliveries of a fan-out over the whole run, warm-up included.
///
/// First-time deliveries and `lost` add up to `published` times `subscribers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deliveries {
    pub(crate) subscribers: u64,
    pub(crate) published: u64,
    /// Deliveries that never arrived; also counted as unanswered.
    pub(crate) lost: u64,
    /// Repeated deliveries.
    pub(crate) duplicated: u64,
    /// Deliveries that arrived after a later message.
    pub(crate) out_of_order: u64,
    /// Messages the server announced as missed; also among the lost.
    pub(crate) told: u64,
    /// Latency of messages due in the latter half of the warm-up, while all subscribers read.
    pub(crate) quiet_latency: Option<LatencySummary>,
    /// Latency by the core that subscribers connected from, the publisher's core first; empty without
    /// `--connect-cores`.
    pub(crate) by_core: Vec<CoreLatency>,
    /// The subscribers that did not read in the window.
    pub(crate) stalled: Option<Stalled>,
    /// How much later than due the publisher wrote its bursts, because of the generator or because the server read
    /// late. Delivery latency includes it. `None` in a closed loop.
    pub(crate) publisher_lag: Option<LatencySummary>,
}

/// Latency of deliveries to the subscribers that connected from one core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CoreLatency {
    pub(crate) core: usize,
    pub(crate) latency: Option<LatencySummary>,
}

/// Subscribers that do not read in the window; no other figure includes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stalled {
    pub(crate) subscribers: u64,
    /// Messages they received in the end.
    pub(crate) received: u64,
    /// Messages the server announced as missed.
    pub(crate) told: u64,
    /// Subscribers whose connection the server closed.
    pub(crate) closed: u64,
    /// Messages neither received nor announced as missed, over the subscribers still connected.
    pub(crate) unaccounted: u64,
    /// Missed messages the server itself counted over all subscribers, if it has a statistics path.
    pub(crate) counted_by_server: Option<u64>,
}

impl Add for Stalled {
    type Output = Self;

    /// Adds the subscribers of another thread.
    fn add(self, other: Self) -> Self {
        Self {
            subscribers: self.subscribers + other.subscribers,
            received: self.received + other.received,
            told: self.told + other.told,
            closed: self.closed + other.closed,
            unaccounted: self.unaccounted + other.unaccounted,
            counted_by_server: self.counted_by_server,
        }
    }
}

/// Failed requests by kind, over the whole run, warm-up included.
///
/// A failed connection fails each request in flight on it, and counts as one failure if none is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errors {
    /// The connection could not be opened.
    pub(crate) connect: u64,
    /// The connection broke.
    pub(crate) reset: u64,
    /// The server closed the connection before its answer was complete.
    pub(crate) closed_early: u64,
    /// The received bytes violate the protocol.
    pub(crate) malformed: u64,
    /// The connection or the answer took longer than the timeout.
    pub(crate) timeout: u64,
    pub(crate) wrong_status: u64,
    pub(crate) wrong_body: u64,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Connect,
    Reset,
    ClosedEarly,
    Malformed,
    Timeout,
    WrongStatus,
    WrongBody,
}

impl Errors {
    /// Adds `times` failures of one kind.
    pub(crate) fn count(&mut self, failure: Failure, times: u64) {
        let counter = match failure {
            Failure::Connect => &mut self.connect,
            Failure::Reset => &mut self.reset,
            Failure::ClosedEarly => &mut self.closed_early,
            Failure::Malformed => &mut self.malformed,
            Failure::Timeout => &mut self.timeout,
            Failure::WrongStatus => &mut self.wrong_status,
            Failure::WrongBody => &mut self.wrong_body,
        };
        *counter += times;
    }

    pub(crate) fn total(&self) -> u64 {
        self.by_kind().into_iter().map(|(_, count)| count).sum()
    }

    fn by_kind(&self) -> [(&'static str, u64); 7] {
        [
            ("connect", self.connect),
            ("reset", self.reset),
            ("closed early", self.closed_early),
            ("malformed", self.malformed),
            ("timeout", self.timeout),
            ("wrong status", self.wrong_status),
            ("wrong body", self.wrong_body),
        ]
    }
}

impl AddAssign for Errors {
    fn add_assign(&mut self, other: Self) {
        self.connect += other.connect;
        self.reset += other.reset;
        self.closed_early += other.closed_early;
        self.malformed += other.malformed;
        self.timeout += other.timeout;
        self.wrong_status += other.wrong_status;
        self.wrong_body += other.wrong_body;
    }
}

/// Writes the kinds with their counts, such as `2 reset, 1 timeout`, or `none`.
impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let happened: Vec<String> = self
            .by_kind()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        if happened.is_empty() {
            return formatter.write_str("none");
        }
        formatter.write_str(&happened.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_own_counter() {
        let mut errors = Errors::default();
        assert_eq!(errors.to_string(), "none");
        for failure in [
            Failure::Connect,
            Failure::Reset,
            Failure::ClosedEarly,
            Failure::Malformed,
            Failure::Timeout,
            Failure::WrongStatus,
            Failure::WrongBody,
        ] {
            errors.count(failure, 1);
        }
        errors.count(Failure::Reset, 4);
        assert!(
            errors
                .by_kind()
                .into_iter()
                .all(|(kind, count)| count == if kind == "reset" { 5 } else { 1 })
        );
        let copy = errors;
        errors += copy;
        assert_eq!(errors.total(), 22);
        assert!(
            errors.to_string().starts_with("2 connect, 10 reset, 2 closed early"),
            "{errors}"
        );
    }
}
