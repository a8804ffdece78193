//! Medians with their spread, and ratios taken within a round.

use serde::Serialize;

/// The middle of some repeated measurements, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` if there are no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self {
            median: f64::midpoint(lower, upper),
            min,
            max,
        })
    }

    /// Whether the two ranges have a point in common.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

/// One figure measured in one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct InRound {
    pub(crate) round: u32,
    pub(crate) figure: f64,
}

/// Divides each figure by the baseline's of the same round; a round in which either is missing counts for nothing.
///
/// What slows a whole round down (a busy neighbour, a throttled core) slows both and cancels out, which a ratio of two medians
/// taken from different rounds would keep.
pub(crate) fn ratios(figures: &[InRound], baseline: &[InRound]) -> Option<Spread> {
    Spread::of(figures.iter().filter_map(|measured| {
        let base = baseline.iter().find(|base| base.round == measured.round)?;
        (base.figure > 0.0).then(|| measured.figure / base.figure)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_one_and_none() {
        let spread = Spread::of([9.0, 1.0, 5.0]).unwrap();
        assert_eq!(
            spread,
            Spread {
                median: 5.0,
                min: 1.0,
                max: 9.0
            }
        );
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(
            Spread::of([7.0]),
            Some(Spread {
                median: 7.0,
                min: 7.0,
                max: 7.0
            })
        );
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ranges_overlap_when_they_share_a_point() {
        let range = |min, max| Spread::of([min, max]).unwrap();
        assert!(range(1.0, 3.0).overlaps(range(3.0, 4.0)), "they touch");
        assert!(range(1.0, 9.0).overlaps(range(3.0, 4.0)), "one holds the other");
        assert!(!range(1.0, 3.0).overlaps(range(3.1, 4.0)));
        assert!(!range(3.1, 4.0).overlaps(range(1.0, 3.0)));
    }

    /// Round 2 was slow for everybody and round 4 had no baseline; neither may show in the ratio.
    #[test]
    fn ratios_are_taken_within_rounds() {
        let rounds = |figures: &[(u32, f64)]| -> Vec<InRound> {
            figures
                .iter()
                .map(|(round, figure)| InRound {
                    round: *round,
                    figure: *figure,
                })
                .collect()
        };
        let baseline = rounds(&[(1, 10.0), (2, 20.0), (3, 10.0)]);
        let contender = rounds(&[(3, 12.0), (2, 22.0), (1, 11.0), (4, 99.0)]);
        let spread = ratios(&contender, &baseline).unwrap();
        assert!((spread.median - 1.1).abs() < 1e-9, "{spread:?}");
        assert!((spread.max - 1.2).abs() < 1e-9, "{spread:?}");
        assert_eq!(ratios(&contender, &[]), None);
        assert_eq!(ratios(&contender, &rounds(&[(1, 0.0)])), None);
    }
}
