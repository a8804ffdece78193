//! Whether a record supports a statement about two contenders under one workload, for headlines and the first charts.
//!
//! A single noisy window can give any ratio: one window of 250 ms near saturation showed a thousand times the floor's.
//! So a headline needs ratios that agree over the rounds within [`APART_MAX`].

use std::fmt;

use super::{Comparison, Kind, SUSTAINED_SHARE, View};
use crate::statistics::{Spread, interval_of_median};

/// The largest quotient between the ends of the median ratio's interval for a headline.
///
/// In `loadtest/record`, all 30 ratios of CPU time, memory and median latency have 1.004 to 1.48. Ratios of a 99th
/// percentile below saturation and of the hop between cores have 1.5 to 11.
pub(crate) const APART_MAX: f64 = 1.5;

/// Why the record supports no statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NoStatement {
    /// No round has figures of both contenders.
    NotMeasured,
    /// Only one round has figures, so their variation is unknown.
    OneRound,
    /// A request failed, or a delivery was lost, repeated or out of order.
    Failed,
    /// One of the two answered less than 99 % of the offered rate in a round, so its latency depends on its saturation.
    NotKeptUp,
    /// The ends of the interval are further apart than [`APART_MAX`].
    Apart(Spread),
}

impl View<'_> {
    /// Compares the main figures of two contenders; the ratio has its 95 % interval instead of its range.
    ///
    /// # Errors
    ///
    /// The reason why the record supports no statement.
    pub(crate) fn statement(&self, contender: &str, other: &str) -> Result<Comparison, NoStatement> {
        let figure = self.workload.kind.main_figure();
        let compared = self.compare(contender, other, figure).ok_or(NoStatement::NotMeasured)?;
        let ratios = self.ratios(contender, other, figure);
        let both = || self.samples(contender).chain(self.samples(other));
        if ratios.len() < 2 {
            return Err(NoStatement::OneRound);
        }
        // Slow subscribers lose messages by the topic's policy, so a loss does not count as a failure.
        let counts_deliveries = self.workload.kind != Kind::Slow;
        let has_failed = both().any(|sample| {
            let deliveries = sample.fan_out.filter(|_| counts_deliveries);
            sample.errors > 0 || deliveries.is_some_and(|deliveries| deliveries.lost + deliveries.disordered > 0)
        });
        if has_failed {
            return Err(NoStatement::Failed);
        }
        let has_missed = both().any(|sample| {
            let rate = sample.offered_rate;
            rate.is_some_and(|rate| sample.requests_per_second < rate * SUSTAINED_SHARE)
        });
        if has_missed {
            return Err(NoStatement::NotKeptUp);
        }
        let ratio = interval_of_median(ratios).ok_or(NoStatement::NotMeasured)?;
        match ratio.max <= ratio.min * APART_MAX {
            true => Ok(Comparison { ratio, ..compared }),
            false => Err(NoStatement::Apart(ratio)),
        }
    }

    /// Compares the main figure of a contender with the baseline's.
    ///
    /// # Errors
    ///
    /// The reason why the record supports no statement.
    pub(crate) fn statement_to_baseline(&self, contender: &str) -> Result<Comparison, NoStatement> {
        self.statement(contender, self.baseline.ok_or(NoStatement::NotMeasured)?)
    }
}

impl fmt::Display for NoStatement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMeasured => formatter.write_str("not measured"),
            Self::OneRound => formatter.write_str("one round"),
            Self::Failed => formatter.write_str("wrong or lost answers"),
            Self::NotKeptUp => formatter.write_str("a server fell behind the rate"),
            Self::Apart(ratio) => write!(formatter, "rounds from {:.2}× to {:.2}×", ratio.min, ratio.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, sample, workload};
    use crate::record::{FanOut, Record, Sample};

    /// Makes a record of Squall's figures and a floor with 1 in each round.
    fn of(figures: &[f64]) -> Record {
        let mut record = record();
        record.samples = (1..)
            .zip(figures)
            .flat_map(|(round, figure)| [sample("floor-epoll", round, 1.0), sample("squall", round, *figure)])
            .collect();
        record
    }

    fn said(record: &Record, kind: Kind) -> Result<Comparison, NoStatement> {
        View::of(record, &workload("plaintext-64", kind)).statement_to_baseline("squall")
    }

    #[test]
    fn ratio_is_stated_only_with_a_narrow_interval() {
        let stated = said(&of(&[1.0, 1.2, 1.4]), Kind::Capacity).unwrap();
        assert!((stated.ratio.median - 1.2).abs() < 1e-9, "{stated:?}");
        assert!(stated.tells_apart || stated.ratio.min <= 1.0);
        let apart = said(&of(&[0.03, 1.0, 1017.9]), Kind::Capacity).unwrap_err();
        assert_eq!(apart.to_string(), "rounds from 0.03× to 1017.90×");
        assert!(matches!(
            said(&of(&[1.0, 1.51]), Kind::Capacity),
            Err(NoStatement::Apart(_))
        ));
        assert!(said(&of(&[1.0, 1.49]), Kind::Capacity).is_ok());
        assert_eq!(said(&of(&[1017.9]), Kind::Capacity), Err(NoStatement::OneRound));
        assert_eq!(said(&of(&[]), Kind::Capacity), Err(NoStatement::NotMeasured));
    }

    #[test]
    fn one_outlier_of_many_rounds_is_ignored() {
        let mut figures = vec![1.1; 9];
        figures.push(40.0);
        let stated = said(&of(&figures), Kind::Capacity).unwrap();
        assert!(stated.ratio.max < 1.2, "{stated:?}");
        figures.extend([40.0, 40.0]);
        assert!(matches!(
            said(&of(&figures), Kind::Capacity),
            Err(NoStatement::Apart(_))
        ));
    }

    #[test]
    fn missed_rate_in_any_round_prevents_a_statement() {
        let mut record = of(&[30.0, 30.0]);
        for sample in &mut record.samples {
            sample.offered_rate = Some(1000.0);
            sample.requests_per_second = 1000.0;
        }
        assert!(said(&record, Kind::Sweep).is_ok());
        for spoilt in 0..record.samples.len() {
            let mut record = record.clone();
            record.samples[spoilt].requests_per_second = 900.0;
            assert_eq!(said(&record, Kind::Rate), Err(NoStatement::NotKeptUp));
        }
    }

    /// The bound against the kept record.
    #[test]
    fn bound_separates_the_recorded_ratios_as_documented() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("record/2026-11-30");
        let record = Record::read(&folder.join("record.json")).unwrap();
        let (mut stated, mut left_out) = (Vec::new(), Vec::new());
        for view in record.views() {
            let name = view.workload.name.as_str();
            match view.statement_to_baseline("squall") {
                Ok(_) => stated.push(name),
                Err(NoStatement::NotMeasured) => {}
                Err(_) => left_out.push(name),
            }
        }
        let expected = [
            "plaintext-512",
            "pipelined-16",
            "latency-1",
            "websocket-idle-15k",
            "idle-10k",
            "fan-out-1000",
            "fan-out-burst-1000",
        ];
        assert_eq!(stated, expected);
        assert_eq!(left_out, ["plaintext-64", "json-64", "rate-5k", "websocket-echo-64"]);
    }

    #[test]
    fn failures_of_either_contender_prevent_a_statement() {
        let spoil = |change: fn(&mut Sample), kind| {
            let mut record = of(&[1.0, 1.1]);
            record.samples.last_mut().map(change).unwrap();
            said(&record, kind)
        };
        let loses = |sample: &mut Sample| {
            sample.fan_out = Some(FanOut {
                subscribers: 1,
                published: 2,
                delivered: 1,
                lost: 1,
                disordered: 0,
            });
        };
        assert_eq!(
            spoil(|sample| sample.errors = 1, Kind::Capacity),
            Err(NoStatement::Failed)
        );
        assert_eq!(spoil(loses, Kind::FanOut), Err(NoStatement::Failed));
    }
}
