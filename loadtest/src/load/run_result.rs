//! What came out of a run, as it is printed, written as JSON and compared.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use super::latency::LatencySummary;

/// The result of one run.
///
/// Every request that was sent is in exactly one of `warmup_requests`, `requests`, `late_requests`, `unanswered` and `errors`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunResult {
    /// Length of the window; shorter than asked for when it was interrupted.
    pub(crate) elapsed_seconds: f64,
    /// Right answers that came in the window.
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    /// Right answers before the window.
    pub(crate) warmup_requests: u64,
    /// Right answers after the window, to requests sent in it.
    pub(crate) late_requests: u64,
    /// Requests without an answer when the run ended.
    pub(crate) unanswered: u64,
    /// Open loop: requests that were due in the window but found no connection free until its end.
    pub(crate) unsent: u64,
    pub(crate) errors: Errors,
    /// Bytes received and sent in the window, heads included.
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    /// Connections opened during the run.
    pub(crate) connections_opened: u64,
    /// Latency of requests sent (open loop: due) in the window. What was unanswered or unsent at the end is in it with its age then,
    /// which is the least its latency can have been.
    pub(crate) latency: Option<LatencySummary>,
    /// Idle hold: how many connections were still open at the end.
    pub(crate) still_open: Option<u64>,
    /// Fan-out: what became of every message; a delivery is what is called a request elsewhere.
    pub(crate) fan_out: Option<Deliveries>,
    /// What became of the slow heads beside the requests, if there were any.
    pub(crate) slow_heads: Option<SlowHeads>,
    /// Whether Ctrl-C ended the run early.
    pub(crate) interrupted: bool,
}

/// Connections whose heads never became whole, from before the warm-up to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlowHeads {
    /// How many were open at the beginning, and opened again when the server had cut them.
    pub(crate) held: u64,
    /// How often the server cut one.
    pub(crate) cut: u64,
}

/// What a fan-out published and what became of it, over the whole run (warm-up included).
///
/// Each of `published` messages must reach each of `subscribers`: what came for the first time and what is `lost` add up to that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deliveries {
    pub(crate) subscribers: u64,
    pub(crate) published: u64,
    /// Deliveries that never came; also counted as unanswered.
    pub(crate) lost: u64,
    /// Deliveries that came again.
    pub(crate) duplicated: u64,
    /// Deliveries that came after one that was published later.
    pub(crate) out_of_order: u64,
    /// Messages that the server told its subscribers they missed. They are among the lost.
    pub(crate) told: u64,
    /// Latency of what was due in the latter half of the warm-up, while everybody read.
    pub(crate) quiet_latency: Option<LatencySummary>,
    /// The subscribers that connected from each core, if connections were made from several: the publisher's core first.
    pub(crate) by_core: Vec<CoreLatency>,
    /// Further subscribers, which did not read in the window.
    pub(crate) stalled: Option<Stalled>,
    /// How much later than due the publisher's bursts were written, by the generator's own fault or because the server did not
    /// take them; the latency of their deliveries counts from when they were due. `None` in a closed loop.
    pub(crate) publisher_lag: Option<LatencySummary>,
}

/// The latency of deliveries to subscribers that connected from one core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CoreLatency {
    pub(crate) core: usize,
    pub(crate) latency: Option<LatencySummary>,
}

/// What became of subscribers that did not read for a while. None of it is in any other figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stalled {
    pub(crate) subscribers: u64,
    /// Messages that reached them, in the end.
    pub(crate) received: u64,
    /// Messages that the server told them they missed.
    pub(crate) told: u64,
    /// Those whose connection the server ended.
    pub(crate) closed: u64,
    /// Messages that neither came nor were told to be missing, to those whose connection was not ended.
    pub(crate) unaccounted: u64,
    /// How many missed messages the server itself counted meanwhile, for all its subscribers, if it tells.
    pub(crate) counted_by_server: Option<u64>,
}

impl Add for Stalled {
    type Output = Self;

    /// Adds what another thread saw.
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

/// Requests that failed, by what went wrong, over the whole run (warm-up included).
///
/// A connection that fails fails all requests in flight on it, and counts as one failure if there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errors {
    /// No connection could be opened.
    pub(crate) connect: u64,
    /// The connection broke.
    pub(crate) reset: u64,
    /// The server closed the connection before it had answered.
    pub(crate) closed_early: u64,
    /// What came is not the protocol that was asked for.
    pub(crate) malformed: u64,
    /// No answer, or no connection, in time.
    pub(crate) timeout: u64,
    pub(crate) wrong_status: u64,
    pub(crate) wrong_body: u64,
}

/// What went wrong with a request.
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
    /// Counts `times` failures of one kind.
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

/// The kinds that happened, such as `2 reset, 1 timeout`; `none` otherwise.
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
    fn every_failure_has_a_counter_of_its_own() {
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
