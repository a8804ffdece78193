//! Scales: the position of a value on an axis, and its ticks.

/// The division of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Measure {
    /// Linear.
    Linear,
    /// Logarithmic.
    Logarithmic,
    /// Percentiles by their nines: 90, 99 and 99.9 are equally far apart.
    Nines,
}

impl Measure {
    fn distance(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.max(f64::MIN_POSITIVE).ln(),
            Self::Nines => -(1.0 - value / 100.0).max(1e-9).log10(),
        }
    }
}

/// Maps values from `domain.0` to `domain.1` to positions from `range.0` to `range.1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    measure: Measure,
    domain: (f64, f64),
    range: (f64, f64),
}

impl Scale {
    pub(super) fn new(measure: Measure, domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { measure, domain, range }
    }

    /// Returns the position of a value, clamped to the domain.
    pub(super) fn place(&self, value: f64) -> f64 {
        let [low, high, value] = [self.domain.0, self.domain.1, value].map(|value| self.measure.distance(value));
        let share = match high - low {
            extent if extent > 0.0 => ((value - low) / extent).clamp(0.0, 1.0),
            _ => 0.5,
        };
        self.range.0 + share * (self.range.1 - self.range.0)
    }
}

/// Returns about four round ticks from zero to at least `greatest`.
pub(in crate::report) fn linear_ticks(greatest: f64) -> Vec<f64> {
    let step = round_step(greatest / 4.0);
    let count = (greatest / step - 1e-9).ceil().clamp(1.0, 10.0);
    std::iter::successors(Some(0.0), |tick| Some(tick + 1.0))
        .take_while(|index| *index <= count)
        .map(|index| index * step)
        .collect()
}

/// Returns the ends and ticks of a logarithmic axis that encloses `least` and `greatest`. Ticks are 1, 2 and 5 times
/// powers of ten, or only the powers if they would crowd.
pub(in crate::report) fn log_axis(least: f64, greatest: f64) -> ((f64, f64), Vec<f64>) {
    let (least, greatest) = (least.max(1e-6), greatest.max(least).max(1e-6));
    let mut ticks = enclosing(least, greatest, &[1.0, 2.0, 5.0]);
    let domain = (
        ticks.first().copied().unwrap_or(least),
        ticks.last().copied().unwrap_or(greatest),
    );
    if ticks.len() > TICKS_MAX {
        ticks = enclosing(least, greatest, &[1.0]);
        ticks.retain(|tick| (domain.0 * 0.999..=domain.1 * 1.001).contains(tick));
    }
    (domain, ticks)
}

/// The most ticks of an axis.
const TICKS_MAX: usize = 8;

/// Returns the shortest sequence of `multiples` of powers of ten that encloses `least` and `greatest`.
fn enclosing(least: f64, greatest: f64, multiples: &[f64]) -> Vec<f64> {
    let decade = |figure: f64| 10_f64.powf(figure.log10().floor());
    let last = decade(greatest) * 10.0;
    let ticks: Vec<f64> = std::iter::successors(Some(decade(least)), |decade| Some(decade * 10.0))
        .take_while(|decade| *decade <= last * 1.001)
        .flat_map(|decade| multiples.iter().map(move |multiple| decade * multiple))
        .collect();
    let first = ticks.iter().rposition(|tick| *tick <= least * 1.001).unwrap_or(0);
    let end = ticks.iter().position(|tick| *tick >= greatest * 0.999);
    let end = end.unwrap_or(ticks.len()).max(first + 1);
    ticks.into_iter().take(end + 1).skip(first).collect()
}

/// Returns the next step that is 1, 2, 2.5 or 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let step = step.max(1e-9);
    let decade = 10_f64.powf(step.log10().floor());
    let multiples = [1.0, 2.0, 2.5, 5.0, 10.0];
    let multiple = multiples.into_iter().find(|multiple| multiple * decade >= step * 0.999);
    multiple.unwrap_or(10.0) * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn positions_follow_the_measure() {
        let linear = Scale::new(Measure::Linear, (0.0, 10.0), (100.0, 200.0));
        assert!(close(linear.place(5.0), 150.0));
        let log = Scale::new(Measure::Logarithmic, (10.0, 1000.0), (200.0, 0.0));
        assert!(close(log.place(100.0), 100.0), "upside down, as on a screen");
        let nines = Scale::new(Measure::Nines, (90.0, 99.9), (0.0, 100.0));
        assert!((nines.place(99.0) - 50.0).abs() < 1e-6);
    }

    #[test]
    fn values_outside_the_domain_are_clamped() {
        let log = Scale::new(Measure::Logarithmic, (1.0, 10.0), (0.0, 100.0));
        assert!(close(log.place(0.0), 0.0) && close(log.place(1e9), 100.0));
        let nines = Scale::new(Measure::Nines, (50.0, 99.99), (0.0, 100.0));
        assert!(close(nines.place(100.0), 100.0));
        let nothing = Scale::new(Measure::Linear, (3.0, 3.0), (0.0, 100.0));
        assert!(close(nothing.place(3.0), 50.0), "a domain without extent");
    }

    #[test]
    fn linear_ticks_are_round_and_reach_the_greatest() {
        for (greatest, ticks) in [
            (195_000.0, vec![0.0, 50_000.0, 100_000.0, 150_000.0, 200_000.0]),
            (4.0, vec![0.0, 1.0, 2.0, 3.0, 4.0]),
            (9.0, vec![0.0, 2.5, 5.0, 7.5, 10.0]),
        ] {
            let found = linear_ticks(greatest);
            assert!(
                found.iter().zip(&ticks).all(|(left, right)| close(*left, *right)),
                "{found:?}"
            );
            assert_eq!(found.len(), ticks.len());
        }
        assert!(linear_ticks(0.0).len() < 12, "nothing measured");
    }

    #[test]
    fn log_axis_encloses_and_does_not_crowd() {
        assert_eq!(log_axis(60.0, 450.0), ((50.0, 500.0), vec![50.0, 100.0, 200.0, 500.0]));
        assert_eq!(log_axis(100.0, 100.0), ((100.0, 200.0), vec![100.0, 200.0]));
        assert_eq!(
            log_axis(55.0, 1_900_000.0),
            ((50.0, 2e6), vec![100.0, 1e3, 1e4, 1e5, 1e6])
        );
    }
}
