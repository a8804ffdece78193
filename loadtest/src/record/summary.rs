//! What all rounds together say: medians with their spread, ratios taken within a round, and whether two contenders can be told apart.

use super::{Figure, Record, Sample};
use crate::statistics::{InRound, Spread, ratios};

/// Which samples are meant: those of one contender under one workload, at one offered rate where there are several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'a> {
    pub(crate) workload: &'a str,
    pub(crate) contender: &'a str,
    /// `None` takes the samples of all rates, which for everything but a sweep are all there are.
    pub(crate) offered_rate: Option<f64>,
}

/// How one contender's figure relates to another's in the same rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Comparison {
    /// Its figure divided by the other's, within each round.
    pub(crate) ratio: Spread,
    /// Whether the ranges of the two figures have a point in common, in which case the run does not tell them apart.
    pub(crate) overlaps: bool,
}

impl Record {
    /// The selected samples, in the order they were measured.
    pub(crate) fn select<'a>(&'a self, selection: Selection<'a>) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            sample.workload == selection.workload
                && sample.contender == selection.contender
                && (selection.offered_rate.is_none() || sample.offered_rate == selection.offered_rate)
        })
    }

    /// The median of a figure over all rounds, with the least and the greatest; `None` if no round knows it.
    pub(crate) fn spread(&self, workload: &str, contender: &str, figure: Figure) -> Option<Spread> {
        let selection = Selection {
            workload,
            contender,
            offered_rate: None,
        };
        self.spread_of(selection, figure)
    }

    /// [`Record::spread`] of a selection.
    pub(crate) fn spread_of(&self, selection: Selection<'_>, figure: Figure) -> Option<Spread> {
        Spread::of(self.select(selection).filter_map(|sample| figure.of(sample)))
    }

    /// A contender's figure beside the baseline's; `None` if one of the two lacks it in every round, or nobody ran both in one round.
    pub(crate) fn ratio_to_baseline(&self, workload: &str, contender: &str, figure: Figure) -> Option<Comparison> {
        self.compare(workload, contender, &self.baseline, figure)
    }

    /// A contender's figure beside another's; `None` as above.
    pub(crate) fn compare(&self, workload: &str, contender: &str, other: &str, figure: Figure) -> Option<Comparison> {
        let ratio = ratios(
            &self.in_rounds(workload, contender, figure),
            &self.in_rounds(workload, other, figure),
        )?;
        let own = self.spread(workload, contender, figure)?;
        let others = self.spread(workload, other, figure)?;
        Some(Comparison {
            ratio,
            overlaps: own.overlaps(others),
        })
    }

    /// The offered rates of a workload, ascending, each once.
    pub(crate) fn offered_rates(&self, workload: &str) -> Vec<f64> {
        let mut rates: Vec<f64> = self
            .samples_of(workload)
            .filter_map(|sample| sample.offered_rate)
            .collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        rates
    }

    /// Names of the contenders that have samples under a workload, the best by its main figure first, those without it last.
    pub(crate) fn ranked(&self, workload: &super::Workload) -> Vec<&str> {
        let figure = workload.kind.main_figure();
        let mut names: Vec<(&str, f64)> = self
            .contenders
            .iter()
            .map(|contender| contender.name.as_str())
            .filter(|name| self.samples_of(&workload.name).any(|sample| sample.contender == *name))
            .map(|name| {
                let spread = self.spread(&workload.name, name, figure);
                (name, spread.map_or(f64::INFINITY, |spread| spread.median))
            })
            .collect();
        names.sort_by(|left, right| left.1.total_cmp(&right.1));
        names.into_iter().map(|(name, _)| name).collect()
    }

    fn in_rounds(&self, workload: &str, contender: &str, figure: Figure) -> Vec<InRound> {
        let selection = Selection {
            workload,
            contender,
            offered_rate: None,
        };
        let figures = self.select(selection).filter_map(|sample| {
            Some(InRound {
                round: sample.round,
                figure: figure.of(sample)?,
            })
        });
        figures.collect()
    }
}
