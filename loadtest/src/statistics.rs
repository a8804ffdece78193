//! Medians with their ranges, and ratios within a round.

use serde::Serialize;

/// The median and the range of repeated measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Returns the spread of `values`; `None` if `values` is empty.
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

    /// Whether the two ranges overlap.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

/// A figure measured in one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct InRound {
    pub(crate) round: u32,
    pub(crate) figure: f64,
}

/// Divides each figure by the baseline's of the same round; skips rounds without both.
///
/// A busy neighbour or a throttled core slows both servers of a round and cancels out; a ratio of two medians would
/// keep it.
pub(crate) fn ratios(figures: &[InRound], baseline: &[InRound]) -> Vec<f64> {
    let ratios = figures.iter().filter_map(|measured| {
        let base = baseline.iter().find(|base| base.round == measured.round)?;
        (base.figure > 0.0).then(|| measured.figure / base.figure)
    });
    ratios.collect()
}

/// The probability that the interval misses the true median.
const MISSES_MAX: f64 = 0.05;

/// Returns the median with a 95 % confidence interval for any distribution (binomial order statistics).
///
/// Fewer than six values have no such interval; the range stands in for it.
pub(crate) fn interval_of_median(mut values: Vec<f64>) -> Option<Spread> {
    let whole = Spread::of(values.iter().copied())?;
    values.sort_by(f64::total_cmp);
    // Twice (once per side) the probability that at most `left_out` values lie on one side of the true median.
    let (mut left_out, mut case, mut misses) = (0, 0.5_f64.powf(values.len() as f64), 0.0);
    loop {
        misses += 2.0 * case;
        if misses > MISSES_MAX {
            break;
        }
        left_out += 1;
        case *= (values.len() - left_out + 1) as f64 / left_out as f64;
    }
    // The last step exceeded the bound, so leave out one value less.
    let left_out = usize::saturating_sub(left_out, 1);
    let inner = values.get(left_out..values.len() - left_out)?;
    Some(Spread {
        min: *inner.first()?,
        max: *inner.last()?,
        ..whole
    })
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

    /// Round 2 was slow for both servers and round 4 lacks the baseline; neither may affect the ratio.
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
        let ratios_seen = ratios(&contender, &baseline);
        assert_eq!(ratios_seen.len(), 3);
        let spread = Spread::of(ratios_seen).unwrap();
        assert!((spread.median - 1.1).abs() < 1e-9, "{spread:?}");
        assert!((spread.max - 1.2).abs() < 1e-9, "{spread:?}");
        assert!(ratios(&contender, &[]).is_empty());
        assert!(ratios(&contender, &rounds(&[(1, 0.0)])).is_empty());
    }

    /// The ranks of published sign-test tables: the second of 9, the third of 12, the fourth of 15, the sixth of 20.
    #[test]
    fn interval_of_a_median_leaves_out_as_many_as_95_per_cent_allow() {
        for (count, left_out) in [
            (1, 0),
            (5, 0),
            (6, 0),
            (8, 0),
            (9, 1),
            (11, 1),
            (12, 2),
            (15, 3),
            (20, 5),
        ] {
            let values = (0..count).rev().map(f64::from).collect();
            let interval = interval_of_median(values).unwrap();
            let ends = (f64::from(left_out), f64::from(count - 1 - left_out));
            assert_eq!((interval.min, interval.max), ends, "{count} values");
        }
        assert_eq!(interval_of_median(Vec::new()), None);
    }
}
