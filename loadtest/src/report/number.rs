//! Number formats: significant digits, grouped thousands, fitting units.

use crate::record::Figure;
use crate::statistics::Spread;

/// Returns the digits after the point for a column whose smallest figure is `smallest`: three significant digits.
pub(super) fn decimals(smallest: f64) -> usize {
    match smallest {
        smallest if smallest < 10.0 => 2,
        smallest if smallest < 100.0 => 1,
        _ => 0,
    }
}

/// Returns the digits after the point for `figure` in a column whose smallest one is `smallest`; counts have 0.
pub(super) fn decimals_of(figure: Figure, smallest: f64) -> usize {
    match figure {
        Figure::ServerBusy
        | Figure::AnswerBytes
        | Figure::Lost
        | Figure::Unaccounted
        | Figure::Closed
        | Figure::SlowHeadsCut
        | Figure::IdleCpu => 0,
        _ => decimals(smallest),
    }
}

/// Writes a number with `decimals` digits after the point and a comma between thousands.
pub(super) fn grouped(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let whole_length = text.find('.').unwrap_or(text.len());
    let mut grouped = String::with_capacity(text.len() + whole_length / 3);
    for (index, digit) in text.chars().enumerate() {
        let follows_digit = grouped.ends_with(|last: char| last.is_ascii_digit());
        if index < whole_length && follows_digit && (whole_length - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes a range, such as `5.26–5.32`.
fn range(spread: Spread, decimals: usize) -> String {
    format!("{}–{}", grouped(spread.min, decimals), grouped(spread.max, decimals))
}

/// Writes a figure: a time in its fitting unit, another number with `decimals` digits after the point.
pub(super) fn figure(figure: Figure, number: f64, decimals: usize) -> String {
    match figure.is_time() {
        true => time(number),
        false => grouped(number, decimals),
    }
}

/// Writes the range of a figure, such as `5.26–5.32 µs`, `980 µs–1.20 ms` or `1,200–1,300`.
pub(super) fn figure_range(figure: Figure, spread: Spread, decimals: usize) -> String {
    if !figure.is_time() {
        return range(spread, decimals);
    }
    let (low, high) = (time(spread.min), time(spread.max));
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}–{high}"),
        _ => format!("{low}–{high}"),
    }
}

/// Writes a ratio, such as `1.05×`.
pub(super) fn ratio(ratio: f64) -> String {
    format!("{ratio:.*}×", if ratio < 10.0 { 2 } else { 1 })
}

/// Writes a range of ratios, such as `1.03–1.09×`.
pub(super) fn ratio_range(spread: Spread) -> String {
    format!("{}–{}", ratio(spread.min).trim_end_matches('×'), ratio(spread.max))
}

/// Writes a time with three significant digits in its fitting unit, such as `50.0 µs`, `2.50 ms` or `1.00 s`.
pub(crate) fn time(us: f64) -> String {
    let (number, unit) = fitting_unit(us);
    // The bounds are where three digits round up to the next one.
    let decimals = match number {
        number if number <= 0.0 => 0,
        number if number < 0.9995 => 3,
        number if number < 9.995 => 2,
        number if number < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$} {unit}")
}

/// Writes a time as a tick of an axis, such as `50 µs`, `2.5 ms` or `1 s`.
pub(super) fn tick(us: f64) -> String {
    let (number, unit) = fitting_unit(us);
    format!("{} {unit}", short(number))
}

/// Returns a time in µs below 1,000 µs, in ms below 1,000 ms, and in s from there on.
fn fitting_unit(us: f64) -> (f64, &'static str) {
    // The bounds are where three digits round up to the next unit.
    match us {
        us if us < 999.5 => (us, "µs"),
        us if us < 999.5e3 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    }
}

/// Writes a rate, in thousands or millions if it fits, such as `500`, `165k` or `1.2M`.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate < 1e3 => short(rate),
        rate if rate < 1e6 => format!("{}k", short(rate / 1e3)),
        rate => format!("{}M", short(rate / 1e6)),
    }
}

/// Writes at most three significant digits, without trailing zeros.
fn short(number: f64) -> String {
    let decimals = match number {
        number if number < 1.0 => 3,
        number => decimals(number),
    };
    let text = format!("{number:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, decimals, text) in [
            (0.0, 0, "0"),
            (999.4, 0, "999"),
            (999.5, 0, "1,000"),
            (1_871_435.0, 0, "1,871,435"),
            (12_345.678, 2, "12,345.68"),
            (-1234.5, 1, "-1,234.5"),
        ] {
            assert_eq!(grouped(number, decimals), text);
        }
    }

    #[test]
    fn ticks_and_rates_are_short() {
        for (us, text) in [
            (0.25, "0.25 µs"),
            (50.0, "50 µs"),
            (2500.0, "2.5 ms"),
            (1e6, "1 s"),
            (123_456.0, "123 ms"),
        ] {
            assert_eq!(tick(us), text);
        }
        for (per_second, text) in [(0.0, "0"), (500.0, "500"), (165e3, "165k"), (1.25e6, "1.25M")] {
            assert_eq!(rate(per_second), text);
        }
    }

    #[test]
    fn unit_changes_where_three_digits_round_up() {
        for (us, text) in [
            (0.0, "0 µs"),
            (0.25, "0.250 µs"),
            (5.0, "5.00 µs"),
            (9.996, "10.0 µs"),
            (99.96, "100 µs"),
            (999.4, "999 µs"),
            (999.6, "1.00 ms"),
            (1_000.0, "1.00 ms"),
            (999_400.0, "999 ms"),
            (1_000_000.0, "1.00 s"),
            (12_345_678.0, "12.3 s"),
        ] {
            assert_eq!(time(us), text);
        }
    }

    #[test]
    fn times_carry_their_units_and_other_figures_their_digits() {
        let spread = |low, high| Spread::of([low, high]).unwrap();
        for (kind, low, high, low_text, range_text) in [
            (Figure::Cpu, 5.26, 5.32, "5.26 µs", "5.26–5.32 µs"),
            (Figure::P99, 980.0, 1_200.0, "980 µs", "980 µs–1.20 ms"),
            (Figure::Throughput, 1_200.0, 1_300.0, "1,200", "1,200–1,300"),
        ] {
            assert_eq!(figure(kind, low, 0), low_text);
            assert_eq!(figure_range(kind, spread(low, high), 0), range_text);
        }
    }

    #[test]
    fn ratios_keep_three_digits() {
        assert_eq!(ratio(1.0534), "1.05×");
        assert_eq!(ratio(14.289), "14.3×");
        let spread = Spread::of([1.027, 1.053, 1.087]).unwrap();
        assert_eq!(ratio_range(spread), "1.03–1.09×");
        assert_eq!(range(spread, 3), "1.027–1.087");
    }
}
