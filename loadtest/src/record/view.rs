//! A view of one workload of a record over all rounds: medians with ranges, ratios within rounds, and which contenders
//! differ.

use std::cmp::Ordering;

use super::{Figure, Kind, Record, Role, Sample, Workload};
use crate::statistics::{self, InRound, Spread};

/// The share of an offered rate that a server must answer to sustain it.
pub(crate) const SUSTAINED_SHARE: f64 = 0.99;

/// The share of the rate sustained by the baseline and Squall at which a sweep compares latencies; closer to
/// saturation, queueing dominates.
const COMPARED_SHARE: f64 = 0.8;

/// The windows of one workload.
///
/// In a sweep, figures are those at one offered rate: the highest within [`COMPARED_SHARE`] of what the baseline and
/// all Squall variants sustain.
#[derive(Debug, Clone)]
pub(crate) struct View<'a> {
    pub(crate) record: &'a Record,
    pub(crate) workload: &'a Workload,
    /// The contender that all others are divided by: the record's baseline, or the first floor that ran under this
    /// workload.
    pub(crate) baseline: Option<&'a str>,
    /// The offered rate of the figures; `None` outside a sweep.
    pub(crate) offered_rate: Option<f64>,
    windows: Vec<&'a Sample>,
}

/// One contender's figure compared with another's in the same rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Comparison {
    /// The figure divided by the other's, within each round.
    pub(crate) ratio: Spread,
    /// Whether the run shows a difference: both have at least two rounds, and their ranges do not overlap.
    pub(crate) tells_apart: bool,
}

impl Record {
    /// Returns a view of each workload, ordered by kind.
    pub(crate) fn views(&self) -> Vec<View<'_>> {
        let mut views: Vec<View<'_>> = self.workloads.iter().map(|workload| View::of(self, workload)).collect();
        views.sort_by_key(|view| view.workload.kind);
        views
    }
}

impl<'a> View<'a> {
    pub(crate) fn of(record: &'a Record, workload: &'a Workload) -> Self {
        let windows: Vec<&Sample> = record
            .samples
            .iter()
            .filter(|sample| sample.workload == workload.name)
            .collect();
        let mut view = Self {
            record,
            workload,
            baseline: None,
            offered_rate: None,
            windows,
        };
        view.baseline = view.find_baseline();
        if workload.kind == Kind::Sweep {
            view.offered_rate = view.comparable_rate();
        }
        view
    }

    /// Returns the same view at another offered rate.
    pub(crate) fn at_rate(&self, rate: f64) -> Self {
        Self {
            offered_rate: Some(rate),
            ..self.clone()
        }
    }

    /// Returns all windows, of all contenders and rates.
    pub(crate) fn windows(&self) -> &[&'a Sample] {
        &self.windows
    }

    /// Returns the names of the contenders with samples, in the record's order.
    pub(crate) fn contenders(&self) -> impl Iterator<Item = &'a str> {
        let names = self.record.contenders.iter().map(|contender| contender.name.as_str());
        names.filter(|name| self.windows.iter().any(|sample| sample.contender == *name))
    }

    /// Returns the names ordered by the workload's main figure, lowest first, those without it last.
    pub(crate) fn ranked(&self) -> Vec<&'a str> {
        self.ranked_by(self.workload.kind.main_figure())
    }

    /// Returns the names ordered by `figure`, lowest first, those without it last.
    pub(crate) fn ranked_by(&self, figure: Figure) -> Vec<&'a str> {
        let median = |name| self.spread(name, figure).map_or(f64::INFINITY, |spread| spread.median);
        let mut names: Vec<(&str, f64)> = self.contenders().map(|name| (name, median(name))).collect();
        names.sort_by(|left, right| left.1.total_cmp(&right.1));
        names.into_iter().map(|(name, _)| name).collect()
    }

    /// Returns a contender's windows at the view's offered rate.
    pub(crate) fn samples(&self, contender: &str) -> impl Iterator<Item = &'a Sample> {
        self.windows.iter().copied().filter(move |sample| {
            sample.contender == contender && (self.offered_rate.is_none() || sample.offered_rate == self.offered_rate)
        })
    }

    /// Returns the median and range of a figure over all rounds; `None` if no round has it.
    ///
    /// A high percentile must be present in each round with a latency: a median of fewer rounds could fall below a
    /// lower percentile's.
    pub(crate) fn spread(&self, contender: &str, figure: Figure) -> Option<Spread> {
        let is_gap = |sample: &Sample| sample.latency.is_some() && figure.of(sample).is_none();
        if matches!(figure, Figure::P999 | Figure::P9999 | Figure::Max) && self.samples(contender).any(is_gap) {
            return None;
        }
        Spread::of(self.samples(contender).filter_map(|sample| figure.of(sample)))
    }

    /// Compares a figure of two contenders; returns `None` if no round has both.
    pub(crate) fn compare(&self, contender: &str, other: &str, figure: Figure) -> Option<Comparison> {
        let ratio = Spread::of(self.ratios(contender, other, figure))?;
        let [own, others] = [contender, other].map(|name| self.in_rounds(name, figure));
        let [own_spread, others_spread] = [contender, other].map(|name| self.spread(name, figure));
        let overlaps = own_spread?.overlaps(others_spread?);
        Some(Comparison {
            ratio,
            tells_apart: own.len().min(others.len()) > 1 && !overlaps,
        })
    }

    /// Returns a contender's figure divided by another's, for each round with both.
    pub(super) fn ratios(&self, contender: &str, other: &str, figure: Figure) -> Vec<f64> {
        let [own, others] = [contender, other].map(|name| self.in_rounds(name, figure));
        statistics::ratios(&own, &others)
    }

    /// Compares a contender's main figure with the baseline's; returns `None` without a baseline or a round with both.
    pub(crate) fn to_baseline(&self, contender: &str) -> Option<Comparison> {
        self.compare(contender, self.baseline?, self.workload.kind.main_figure())
    }

    /// Returns the distinct offered rates, ascending.
    pub(crate) fn offered_rates(&self) -> Vec<f64> {
        let mut rates: Vec<f64> = self.windows.iter().filter_map(|sample| sample.offered_rate).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        rates
    }

    /// Returns the highest offered rate of which a contender answered [`SUSTAINED_SHARE`] in the median round.
    pub(crate) fn sustained_rate(&self, contender: &str) -> Option<f64> {
        let sustains = |rate: &f64| {
            let answered = self.at_rate(*rate).spread(contender, Figure::Throughput);
            answered.is_some_and(|answered| answered.median >= rate * SUSTAINED_SHARE)
        };
        self.offered_rates().into_iter().rfind(sustains)
    }

    fn find_baseline(&self) -> Option<&'a str> {
        let floors = self.contenders().filter(|name| Role::of(name) == Role::Floor);
        self.contenders()
            .filter(|name| *name == self.record.baseline)
            .chain(floors)
            .next()
    }

    fn comparable_rate(&self) -> Option<f64> {
        let counts = |name: &&str| Some(*name) == self.baseline || Role::of(name) == Role::Subject;
        let sustained = self.contenders().filter(counts).map(|name| self.sustained_rate(name));
        // A contender that sustains no offered rate leaves the lowest one for the comparison.
        let lowest = self.offered_rates().first().copied();
        let least = sustained
            .map(|rate| rate.or(lowest))
            .min_by(|left, right| left.partial_cmp(right).unwrap_or(Ordering::Equal));
        let limit = least.flatten()? * COMPARED_SHARE;
        self.offered_rates().into_iter().rfind(|rate| *rate <= limit).or(lowest)
    }

    fn in_rounds(&self, contender: &str, figure: Figure) -> Vec<InRound> {
        let figures = self.samples(contender).filter_map(|sample| {
            Some(InRound {
                round: sample.round,
                figure: figure.of(sample)?,
            })
        });
        figures.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, sample, workload};

    #[test]
    fn comparison_takes_ratios_within_rounds_and_sees_overlap() {
        let mut record = record();
        let capacity = workload("plaintext-64", Kind::Capacity);
        let comparison = View::of(&record, &capacity).to_baseline("squall").unwrap();
        assert!((comparison.ratio.max - 1.25).abs() < 1e-9, "{comparison:?}");
        assert!((comparison.ratio.min - 1.125).abs() < 1e-9, "{comparison:?}");
        assert!(!comparison.tells_apart, "4 to 8 and 5 to 9");
        record.samples = [4.0, 5.0, 8.0]
            .iter()
            .zip(["floor-epoll", "floor-epoll", "squall"])
            .zip([1, 2, 1])
            .map(|((cpu, name), round)| sample(name, round, *cpu))
            .collect();
        let comparison = View::of(&record, &capacity).to_baseline("squall").unwrap();
        assert!(!comparison.tells_apart, "one round tells nothing");
        record.samples.push(sample("squall", 2, 9.0));
        assert!(View::of(&record, &capacity).to_baseline("squall").unwrap().tells_apart);
        assert_eq!(View::of(&record, &capacity).to_baseline("absent"), None);
    }

    #[test]
    fn contenders_are_ranked_by_the_main_figure_and_the_unmeasured_come_last() {
        let mut record = record();
        let capacity = workload("plaintext-64", Kind::Capacity);
        assert_eq!(View::of(&record, &capacity).ranked(), ["floor-epoll", "squall"]);
        for sample in record
            .samples
            .iter_mut()
            .filter(|sample| sample.contender == "floor-epoll")
        {
            sample.cpu_per_request = None;
        }
        assert_eq!(View::of(&record, &capacity).ranked(), ["squall", "floor-epoll"]);
        record.samples.retain(|sample| sample.contender == "squall");
        let view = View::of(&record, &capacity);
        assert_eq!(view.ranked(), ["squall"]);
        assert_eq!(view.baseline, None, "the baseline did not run here");
    }

    #[test]
    fn percentile_that_one_round_lacks_has_no_median() {
        let mut record = record();
        let capacity = workload("plaintext-64", Kind::Capacity);
        for sample in &mut record.samples {
            sample.latency.as_mut().unwrap().p999_us = Some(40.0);
        }
        let p999 = |record: &Record| View::of(record, &capacity).spread("squall", Figure::P999);
        assert_eq!(p999(&record).map(|spread| spread.median), Some(40.0));
        record.samples.last_mut().unwrap().latency.as_mut().unwrap().p999_us = None;
        assert_eq!(p999(&record), None);
        record.samples.last_mut().unwrap().latency = None;
        assert!(
            p999(&record).is_some(),
            "a round without any latency does not count as a gap"
        );
    }

    #[test]
    fn views_come_in_the_order_of_their_kinds() {
        let mut record = record();
        record.workloads.insert(0, workload("churn", Kind::Churn));
        let names: Vec<&str> = record.views().iter().map(|view| view.workload.name.as_str()).collect();
        assert_eq!(names, ["plaintext-64", "churn"]);
    }

    #[test]
    fn another_floor_stands_in_for_a_baseline_that_does_not_speak_the_protocol() {
        let mut record = record();
        record.baseline = "squall".to_owned();
        let capacity = workload("plaintext-64", Kind::Capacity);
        assert_eq!(View::of(&record, &capacity).baseline, Some("squall"));
        record.samples.retain(|sample| sample.contender != "squall");
        assert_eq!(View::of(&record, &capacity).baseline, Some("floor-epoll"));
    }

    #[test]
    fn sweep_is_compared_below_what_squall_and_the_floor_sustain() {
        let mut record = record();
        let sweep = workload("plaintext-64", Kind::Sweep);
        let at = |contender: &str, rate: f64, answered: f64| Sample {
            offered_rate: Some(rate),
            requests_per_second: answered,
            ..sample(contender, 1, 4.0)
        };
        record.samples = vec![
            at("floor-epoll", 100.0, 100.0),
            at("floor-epoll", 200.0, 199.0),
            at("floor-epoll", 300.0, 298.0),
            at("squall", 100.0, 100.0),
            at("squall", 200.0, 198.5),
            at("squall", 300.0, 250.0),
        ];
        let view = View::of(&record, &sweep);
        assert_eq!(view.offered_rates(), [100.0, 200.0, 300.0]);
        assert_eq!(view.sustained_rate("floor-epoll"), Some(300.0));
        assert_eq!(view.sustained_rate("squall"), Some(200.0));
        assert_eq!(view.offered_rate, Some(100.0), "four fifths of 200");
        assert_eq!(view.samples("squall").count(), 1);
    }
}
