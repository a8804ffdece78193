//! Latencies in a histogram of bounded size (HDR: three significant digits from 100 ns to an hour), and their summary.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::clock::Nanos;

/// The shortest latency told apart; reading the clock twice takes about as long.
const LEAST: Nanos = 100;

/// The longest latency recorded; longer ones count as this.
const GREATEST: Nanos = 3_600_000_000_000;

const SIGNIFICANT_DIGITS: u8 = 3;

/// Points of the percentile curve for each halving of the remaining share.
const POINTS_PER_HALVING: u32 = 5;

/// A histogram of latencies.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    #[expect(clippy::expect_used, reason = "the bounds are constants that the histogram accepts")]
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(LEAST, GREATEST, SIGNIFICANT_DIGITS);
        Self {
            histogram: histogram.expect("constant bounds are valid"),
        }
    }

    pub(crate) fn record(&mut self, latency: Nanos) {
        self.histogram.saturating_record(latency);
    }

    /// Records `times` latencies of the same length.
    pub(crate) fn record_many(&mut self, latency: Nanos, times: u64) {
        self.histogram.saturating_record_n(latency, times);
    }

    #[expect(clippy::expect_used, reason = "all histograms here have the same bounds")]
    pub(crate) fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("equal bounds");
    }

    /// Returns the summary; `None` if no latency was recorded.
    pub(crate) fn summarize(&self) -> Option<LatencySummary> {
        if self.histogram.is_empty() {
            return None;
        }
        let at = |percentile| microseconds(self.histogram.value_at_percentile(percentile) as f64);
        let curve = self.histogram.iter_quantiles(POINTS_PER_HALVING).map(|point| {
            (
                point.quantile_iterated_to() * 100.0,
                microseconds(point.value_iterated_to() as f64),
            )
        });
        Some(LatencySummary {
            count: self.histogram.len(),
            mean_us: microseconds(self.histogram.mean()),
            min_us: microseconds(self.histogram.min() as f64),
            p50_us: at(50.0),
            p75_us: at(75.0),
            p90_us: at(90.0),
            p99_us: at(99.0),
            p99_9_us: at(99.9),
            p99_99_us: at(99.99),
            max_us: microseconds(self.histogram.max() as f64),
            curve: curve.collect(),
        })
    }
}

/// Latencies in µs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LatencySummary {
    pub(crate) count: u64,
    pub(crate) mean_us: f64,
    pub(crate) min_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p75_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p99_9_us: f64,
    pub(crate) p99_99_us: f64,
    pub(crate) max_us: f64,
    /// Points (percentile, µs), both ascending and closer together towards 100.
    pub(crate) curve: Vec<(f64, f64)>,
}

fn microseconds(nanos: f64) -> f64 {
    nanos / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_to_three_digits() {
        let mut latencies = Latencies::new();
        for microsecond in 1..=100_000 {
            latencies.record(microsecond * 1000);
        }
        let summary = latencies.summarize().unwrap();
        for (got, expected) in [
            (summary.p50_us, 50_000.0),
            (summary.p99_us, 99_000.0),
            (summary.p99_99_us, 99_990.0),
            (summary.max_us, 100_000.0),
            (summary.mean_us, 50_000.5),
        ] {
            assert!((got / expected - 1.0).abs() < 0.001, "{got} for {expected}");
        }
        assert_eq!(summary.count, 100_000);
    }

    #[test]
    fn curve_ascends_to_100_percent() {
        let mut latencies = Latencies::new();
        for latency in [5_000, 7_000, 9_000, 1_000_000] {
            latencies.record(latency);
        }
        let curve = latencies.summarize().unwrap().curve;
        assert!(curve.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1), "{curve:?}");
        let (percentile, most) = *curve.last().unwrap();
        assert!(percentile == 100.0 && (most / 1000.0 - 1.0).abs() < 0.001, "{curve:?}");
    }

    #[test]
    fn sum_has_both_counts_and_no_latency_has_no_summary() {
        let (mut one, mut other) = (Latencies::new(), Latencies::new());
        assert!(one.summarize().is_none());
        other.record(1_000);
        other.record(u64::MAX);
        one.record(0);
        one.add(&other);
        let summary = one.summarize().unwrap();
        assert_eq!(summary.count, 3);
        assert!((summary.max_us / 3.6e9 - 1.0).abs() < 0.001, "{}", summary.max_us);
    }
}
