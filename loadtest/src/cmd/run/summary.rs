//! The result of a run as text.

use std::fmt::Write;
use std::time::Duration;

use crate::load::latency::LatencySummary;
use crate::load::plan::{DURATION_MAX, Echo, Kind};
use crate::load::run_result::{Deliveries, SlowHeads, Stalled};
use crate::load::target::Scheme;
use crate::load::{Plan, RunResult};
use crate::report::time;

/// Renders the plan and the result.
pub(crate) fn render(plan: &Plan, outcome: &RunResult) -> String {
    let mut text = format!("{}\n{}\n\n", target(plan), asked(plan));
    for (name, figure) in figures(plan, outcome) {
        // Writing to a string cannot fail.
        writeln!(text, "  {name:<15}{figure}").ok();
    }
    if let Some(latency) = &outcome.latency {
        text.push('\n');
        text.push_str(&percentiles(latency));
    }
    if outcome.interrupted {
        text.push_str("\n  interrupted: the figures end there\n");
    }
    text
}

fn target(plan: &Plan) -> String {
    match &plan.kind {
        Kind::FanOut(fan_out) => format!("published at {}, received at {}", fan_out.publish, plan.target),
        _ => format!("{} {}", plan.request.method, plan.target),
    }
}

fn asked(plan: &Plan) -> String {
    let kind = match &plan.kind {
        Kind::ClosedLoop { .. } => "closed loop".to_owned(),
        Kind::OpenLoop { rate, .. } => format!("open loop at {rate} requests/s"),
        Kind::Churn => "a new connection for every request".to_owned(),
        Kind::Hold => "idle connections".to_owned(),
        Kind::Upload { bytes } => format!("uploads of {} bytes", grouped(*bytes)),
        Kind::Echo(echo) => {
            let pace = echo.rate.map_or_else(
                || "closed loop".to_owned(),
                |rate| format!("open loop at {rate} messages/s"),
            );
            format!("WebSocket echo of {} bytes, {pace}", echo.message_bytes)
        }
        Kind::FanOut(fan_out) => {
            let pace = fan_out.rate.map_or_else(
                || "the next burst after the last delivery".to_owned(),
                |rate| format!("{rate} messages/s"),
            );
            let (bytes, burst) = (fan_out.message_bytes, fan_out.burst);
            let subscribers = match plan.target.scheme {
                Scheme::WebSocket => "WebSockets",
                Scheme::Http => "event streams",
            };
            format!("fan-out of {bytes} bytes to {subscribers} in bursts of {burst}, {pace}")
        }
    };
    let pipeline = match plan.kind {
        Kind::ClosedLoop { pipeline } | Kind::OpenLoop { pipeline, .. } | Kind::Echo(Echo { pipeline, .. })
            if pipeline > 1 =>
        {
            format!(", {pipeline} {} in flight on each", plan.kind.noun())
        }
        _ => String::new(),
    };
    let cores = match plan.cores.as_slice() {
        [] => String::new(),
        cores => format!(
            " on cores {}",
            cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
        ),
    };
    format!(
        "{kind}, {}{pipeline}, {}{cores}, {}",
        count(plan.connections as u64, "connection"),
        count(plan.threads as u64, "thread"),
        window(plan)
    )
}

/// Describes the planned window and its warm-up.
fn window(plan: &Plan) -> String {
    let length = match (plan.requests, plan.duration) {
        (None, duration) => format!("{duration:?}"),
        (Some(requests), DURATION_MAX) => format!("{} {}", grouped(requests), plan.kind.noun()),
        (Some(requests), duration) => format!("{} {} within {duration:?}", grouped(requests), plan.kind.noun()),
    };
    match plan.warmup {
        Duration::ZERO => format!("{length} without a warm-up"),
        warmup => format!("{length} after {warmup:?} of warm-up"),
    }
}

fn figures(plan: &Plan, outcome: &RunResult) -> Vec<(&'static str, String)> {
    let mut figures = Vec::new();
    if let Some(still_open) = outcome.still_open {
        figures.push((
            "still open",
            format!("{} of {}", grouped(still_open), grouped(plan.connections as u64)),
        ));
    } else {
        let rate = grouped_figure(outcome.requests_per_second);
        let elapsed = outcome.elapsed_seconds;
        figures.push((
            plan.kind.noun(),
            format!("{} in {elapsed:.2} s: {rate} per second", grouped(outcome.requests)),
        ));
        let transfer = |bytes: u64| {
            format!(
                "{:.2} MiB ({:.2} MiB/s)",
                mebibytes(bytes),
                mebibytes(bytes) / elapsed.max(1e-9)
            )
        };
        figures.push(("received", transfer(outcome.bytes_received)));
        figures.push(("sent", transfer(outcome.bytes_sent)));
        figures.push(("connections", format!("{} opened", grouped(outcome.connections_opened))));
    }
    if let Some(deliveries) = &outcome.fan_out {
        figures.extend(fan_out(deliveries));
    }
    if let Some(SlowHeads { held, cut }) = outcome.slow_heads {
        figures.push((
            "slow heads",
            format!("{} open, {} closed by the server", grouped(held), grouped(cut)),
        ));
    }
    if let Some(completed) = outcome.handshakes {
        figures.push(("handshakes", format!("{} completed beside", grouped(completed))));
    }
    figures.push(("errors", outcome.errors.to_string()));
    for (name, number, meaning) in [
        (
            "unanswered",
            outcome.unanswered,
            "sent and unanswered at the end; the latencies include their age",
        ),
        (
            "unsent",
            outcome.unsent,
            "due, but every connection was busy until the end; the latencies include their age",
        ),
    ] {
        if number > 0 {
            figures.push((name, format!("{} ({meaning})", grouped(number))));
        }
    }
    figures
}

/// Returns the figures of a fan-out; `lost` has a line even if it is 0.
fn fan_out(deliveries: &Deliveries) -> Vec<(&'static str, String)> {
    let mut figures = vec![
        (
            "published",
            format!(
                "{} to {}, warm-up included",
                count(deliveries.published, "message"),
                count(deliveries.subscribers, "subscriber")
            ),
        ),
        ("lost", grouped(deliveries.lost)),
        ("duplicated", grouped(deliveries.duplicated)),
        ("out of order", grouped(deliveries.out_of_order)),
    ];
    if deliveries.told > 0 {
        figures.push((
            "announced",
            format!("{} of the lost, by the server", grouped(deliveries.told)),
        ));
    }
    for core in &deliveries.by_core {
        let p50 = core
            .latency
            .as_ref()
            .map_or_else(|| "–".to_owned(), |latency| time(latency.p50_us));
        figures.push(("from core", format!("{}: p50 {p50}", core.core)));
    }
    if let Some(stalled) = &deliveries.stalled {
        figures.extend(stalled_figures(stalled, deliveries.quiet_latency.as_ref()));
    }
    if let Some(lag) = &deliveries.publisher_lag {
        let (p50, p99) = (time(lag.p50_us), time(lag.p99_us));
        figures.push((
            "publisher",
            format!("late by {p50} (p50), {p99} (p99); the latencies include it"),
        ));
    }
    figures
}

/// Returns the figures of the stalled subscribers.
fn stalled_figures(stalled: &Stalled, quiet: Option<&LatencySummary>) -> Vec<(&'static str, String)> {
    let mut figures = vec![
        ("stalled", count(stalled.subscribers, "further subscriber")),
        (
            "",
            format!(
                "{} received in the end, {} announced as missed, {} unaccounted for",
                grouped(stalled.received),
                grouped(stalled.told),
                grouped(stalled.unaccounted)
            ),
        ),
        (
            "",
            format!("{} closed by the server", count(stalled.closed, "connection")),
        ),
    ];
    if let Some(counted) = stalled.counted_by_server {
        figures.push(("", format!("{} missed by the server's count", grouped(counted))));
    }
    if let Some(quiet) = quiet {
        figures.push(("while all read", format!("latency p99 {}", time(quiet.p99_us))));
    }
    figures
}

fn percentiles(latency: &LatencySummary) -> String {
    let mut text = String::new();
    for (name, microseconds) in [
        ("p50", latency.p50_us),
        ("p75", latency.p75_us),
        ("p90", latency.p90_us),
        ("p99", latency.p99_us),
        ("p99.9", latency.p99_9_us),
        ("p99.99", latency.p99_99_us),
        ("max", latency.max_us),
        ("mean", latency.mean_us),
    ] {
        writeln!(text, "  latency {name:<7}{:>10}", time(microseconds)).ok();
    }
    text
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a non-negative figure with one decimal.
#[expect(clippy::cast_possible_truncation, reason = "rates are far below 2^64")]
#[expect(clippy::cast_sign_loss, reason = "the figure is not negative")]
fn grouped_figure(figure: f64) -> String {
    let tenths = (figure * 10.0).round() as u64;
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::run_result::Errors;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped_figure(1234.56), "1,234.6");
        assert_eq!(grouped_figure(0.04), "0.0");
    }

    #[test]
    fn latencies_from_a_millisecond_on_are_in_ms() {
        let mut latencies = crate::load::latency::Latencies::new();
        latencies.record(98_765);
        latencies.record(12_345_678);
        let text = percentiles(&latencies.summarize().unwrap());
        for line in ["  latency p50       98.8 µs\n", "  latency max       12.4 ms\n"] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn window_is_a_number_of_requests_a_length_or_both() {
        let url = || "http://h/p".parse().unwrap();
        for (requests, duration, warmup, text) in [
            (None, Duration::from_secs(10), 1, "10s after 1s of warm-up"),
            (Some(12_345), DURATION_MAX, 0, "12,345 requests without a warm-up"),
            (
                Some(9),
                Duration::from_secs(3),
                0,
                "9 requests within 3s without a warm-up",
            ),
        ] {
            let plan = Plan {
                requests,
                duration,
                warmup: Duration::from_secs(warmup),
                ..Plan::new(url(), Kind::Churn)
            };
            assert_eq!(window(&plan), text);
        }
    }

    #[test]
    fn summary_has_the_plan_and_the_result() {
        let plan = Plan::new(
            "http://h/p".parse().unwrap(),
            Kind::OpenLoop {
                rate: 1000.0,
                pipeline: 2,
            },
        );
        let outcome = RunResult {
            elapsed_seconds: 2.0,
            requests: 2_000,
            requests_per_second: 1_000.0,
            warmup_requests: 0,
            late_requests: 0,
            unanswered: 0,
            unsent: 7,
            errors: Errors {
                reset: 3,
                ..Errors::default()
            },
            bytes_received: 2 * 1024 * 1024,
            bytes_sent: 0,
            connections_opened: 64,
            latency: None,
            still_open: None,
            fan_out: None,
            slow_heads: None,
            handshakes: None,
            interrupted: true,
        };
        let text = render(&plan, &outcome);
        for part in [
            "GET http://h/p\n",
            "open loop at 1000 requests/s, 64 connections, 2 requests in flight on each, 1 thread, 10s after 1s of \
             warm-up",
            "2,000 in 2.00 s: 1,000.0 per second",
            "2.00 MiB (1.00 MiB/s)",
            "3 reset",
            "7 (due,",
            "interrupted:",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("unanswered"), "{text}");
    }
}
