//! The charts of one workload: each contender's cost and latency.

use std::f64::consts::LOG10_2;

use super::chart::{Axis, Bar, BarChart, CurveChart, Mark, Measure, Series, linear_ticks, log_axis};
use super::{number, palette};
use crate::record::{Figure, Latency, Point, Sample, View};
use crate::statistics::Spread;

/// A chart with its caption.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    /// How to read it.
    pub(super) note: String,
    /// Whether it is about twice as high as a bar chart.
    pub(super) is_tall: bool,
    /// An SVG element with escaped texts.
    pub(super) svg: String,
}

/// The fewest requests above a percentile for it to be drawn.
const BEYOND_MIN: f64 = 10.0;

/// The percentiles with ticks.
const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// Steps of a latency curve from the median to four nines.
const CURVE_STEPS: u32 = 60;

/// Draws CPU time per request, user and system stacked, with error bars; returns `None` without a measurement.
pub(super) fn cpu(view: &View<'_>) -> Option<Chart> {
    let kind = view.workload.kind;
    let parts = |name: &str| {
        let median = |figure| view.spread(name, figure).map_or(0.0, |spread| spread.median);
        vec![("user", median(Figure::User)), ("system", median(Figure::System))]
    };
    let chart = bars(view, Figure::Cpu, parts)?;
    Some(Chart {
        title: format!("CPU per {}", kind.unit()),
        note: format!(
            "Solid: user mode; light: kernel. {}{}",
            whiskers(view),
            view.baseline
                .map_or("", |_| " The dashed line is the server that the others are divided by.")
        ),
        is_tall: false,
        svg: chart.draw(),
    })
}

/// Draws another figure as plain bars; returns `None` without a measurement.
pub(super) fn plain(view: &View<'_>, figure: Figure, title: String, note: &str) -> Option<Chart> {
    let parts = |name: &str| vec![("system", view.spread(name, figure).map_or(0.0, |spread| spread.median))];
    let svg = bars(view, figure, parts)?.draw();
    Some(Chart {
        title,
        note: note.to_owned(),
        is_tall: false,
        svg,
    })
}

fn whiskers(view: &View<'_>) -> String {
    match view.record.rounds {
        1 => "One round.".to_owned(),
        rounds => format!("Bars are medians of {rounds} rounds; error bars span the range."),
    }
}

fn bars(view: &View<'_>, figure: Figure, parts: impl Fn(&str) -> Vec<(&'static str, f64)>) -> Option<BarChart> {
    let names = view.ranked_by(figure);
    let known: Vec<(&str, Spread)> = names
        .into_iter()
        .filter_map(|name| Some((name, view.spread(name, figure)?)))
        .collect();
    let decimals = number::decimals_of(figure, known.first()?.1.median);
    let bar = |(name, spread): &(&str, Spread)| {
        let ratio = view.baseline.and_then(|baseline| view.compare(name, baseline, figure));
        let remark = ratio.map(|ratio| number::ratio(ratio.ratio.median)).unwrap_or_default();
        Bar {
            name: (*name).to_owned(),
            class: palette::class(view.record, name),
            parts: parts(name),
            spread: *spread,
            figure: number::figure(figure, spread.median, decimals),
            hover: format!(
                "{name}: {} ({})",
                number::figure(figure, spread.median, decimals),
                number::figure_range(figure, *spread, decimals)
            ),
            remark,
        }
    };
    let floor = known.iter().find(|(name, _)| Some(*name) == view.baseline);
    Some(BarChart {
        label: format!("{} of each contender, as bars", figure.phrase(view.workload.kind)),
        bars: known.iter().map(bar).collect(),
        remarks: view
            .baseline
            .filter(|_| floor.is_some())
            .map(|name| format!("× {name}"))
            .unwrap_or_default(),
        reference: floor.map(|(_, spread)| spread.median),
    })
}

/// Draws latency over percentiles; returns `None` without a latency.
pub(super) fn latency(view: &View<'_>) -> Option<Chart> {
    let percentiles: Vec<f64> = (0..=CURVE_STEPS)
        .map(|step| {
            // Equal steps in nines, from the median to four nines.
            let nines = LOG10_2 + (4.0 - LOG10_2) * f64::from(step) / f64::from(CURVE_STEPS);
            100.0 * (1.0 - 10_f64.powf(-nines))
        })
        .collect();
    let curve = |name: &str| {
        percentiles
            .iter()
            .filter_map(|percentile| percentile_mark(view, name, *percentile))
            .collect()
    };
    let series = series(view, false, curve);
    let y = time_axis(&series, view.workload.kind.unit())?;
    let known = series.iter().filter_map(|series| series.marks.last());
    let greatest = known.map(|mark| mark.x).fold(90.0, f64::max);
    let end = PERCENTILES
        .into_iter()
        .find(|tick| *tick >= greatest - 1e-6)
        .unwrap_or(greatest);
    let ticks = PERCENTILES.into_iter().filter(|tick| *tick <= end);
    let x = Axis {
        measure: Measure::Nines,
        domain: (50.0, end),
        ticks: ticks.map(|percentile| (percentile, percentile.to_string())).collect(),
        title: format!("% of {} that took no longer", view.workload.kind.units()),
    };
    let chart = CurveChart {
        label: "Latency of each contender over percentiles, as curves".to_owned(),
        x,
        y,
        series,
    };
    Some(Chart {
        title: "Latency".to_owned(),
        note: format!(
            "Medians of the rounds; the bands span all rounds. A curve ends where fewer than {BEYOND_MIN} {} are above \
             it.",
            view.workload.kind.units()
        ),
        is_tall: true,
        svg: chart.draw(),
    })
}

/// Draws latency at one percentile over the offered rate; returns `None` with fewer than two rates.
pub(super) fn sweep(view: &View<'_>, figure: Figure) -> Option<Chart> {
    let rates = view.offered_rates();
    let greatest = *rates.last().filter(|_| rates.len() > 1)?;
    let curve = |name: &str| {
        let marks = rates.iter().filter_map(|rate| {
            let at_rate = view.at_rate(*rate);
            let answered = at_rate.spread(name, Figure::Throughput)?;
            let is_missed = answered.median < rate * crate::record::SUSTAINED_SHARE;
            Some(mark(*rate, at_rate.spread(name, figure)?, is_missed))
        });
        marks.collect()
    };
    let series = series(view, true, curve);
    let y = time_axis(&series, view.workload.kind.unit())?;
    let ticks = linear_ticks(greatest);
    let x = Axis {
        measure: Measure::Linear,
        domain: (0.0, ticks.last().copied().unwrap_or(greatest)),
        ticks: ticks.into_iter().map(|rate| (rate, number::rate(rate))).collect(),
        title: format!("{}/s offered", view.workload.kind.units()),
    };
    let phrase = figure.phrase(view.workload.kind);
    let chart = CurveChart {
        label: format!("{phrase} of each contender over the offered rate, as curves"),
        x,
        y,
        series,
    };
    let title = match figure {
        Figure::P50 => "Median latency".to_owned(),
        _ => phrase,
    };
    Some(Chart {
        title: format!("{title} as the rate rises"),
        note:
            "An open loop: latency counts from when a request was due. A ring marks a rate that the server fell behind."
                .to_owned(),
        is_tall: true,
        svg: chart.draw(),
    })
}

/// Returns a curve for each contender with a point, in drawing order.
fn series(view: &View<'_>, has_points: bool, curve: impl Fn(&str) -> Vec<Mark>) -> Vec<Series> {
    let mut names: Vec<&str> = view.contenders().collect();
    names.sort_by_key(|name| palette::layer(name));
    let series = names.into_iter().map(|name| Series {
        name: name.to_owned(),
        class: palette::class(view.record, name),
        has_band: view.record.rounds > 1 && [palette::SUBJECT, palette::RIVAL].contains(&name),
        has_points,
        marks: curve(name),
    });
    series.filter(|series| !series.marks.is_empty()).collect()
}

fn mark(x: f64, spread: Spread, is_missed: bool) -> Mark {
    Mark {
        x,
        y: spread.median,
        low: spread.min,
        high: spread.max,
        is_missed,
    }
}

/// Returns a logarithmic time axis that covers all marks; `None` without a mark.
fn time_axis(series: &[Series], unit: &str) -> Option<Axis> {
    let marks = || series.iter().flat_map(|series| &series.marks);
    let heights = Spread::of(marks().flat_map(|mark| [mark.low, mark.high]))?;
    let (domain, ticks) = log_axis(heights.min, heights.max);
    Some(Axis {
        measure: Measure::Logarithmic,
        domain,
        ticks: ticks.into_iter().map(|us| (us, number::tick(us))).collect(),
        title: format!("latency of a {unit}"),
    })
}

/// Returns the latency at a percentile over all rounds; `None` unless each round with a latency has enough requests
/// above it.
///
/// A curve over fewer rounds than at its start would drop where a slow round ends.
fn percentile_mark(view: &View<'_>, name: &str, percentile: f64) -> Option<Mark> {
    let rounds = view.samples(name).filter(|sample| sample.latency.is_some());
    let latencies: Option<Vec<f64>> = rounds.map(|sample| latency_at(sample, percentile)).collect();
    Some(mark(percentile, Spread::of(latencies?)?, false))
}

/// Interpolates the latency at a percentile, linearly on the chart's axes.
fn latency_at(sample: &Sample, percentile: f64) -> Option<f64> {
    let beyond = (1.0 - percentile / 100.0) * sample.requests as f64;
    let latency = sample.latency.as_ref().filter(|_| beyond >= BEYOND_MIN)?;
    let known: Vec<Point> = match latency.curve.as_slice() {
        [] => named_points(latency).collect(),
        curve => curve.iter().copied().filter(|point| point.percentile < 100.0).collect(),
    };
    // The histogram may report 90 as 89.99999.
    let after = known.iter().position(|point| point.percentile >= percentile - 1e-6)?;
    let high = known.get(after)?;
    let Some(low) = after.checked_sub(1).and_then(|before| known.get(before)) else {
        return Some(high.us);
    };
    let nines = |percentile: f64| -(1.0 - percentile / 100.0).log10();
    let extent = nines(high.percentile) - nines(low.percentile);
    let share = match extent > 0.0 {
        true => ((nines(percentile) - nines(low.percentile)) / extent).clamp(0.0, 1.0),
        false => 1.0,
    };
    Some(low.us * (high.us / low.us.max(f64::MIN_POSITIVE)).powf(share))
}

/// Returns the named percentiles, for a latency without a curve.
fn named_points(latency: &Latency) -> impl Iterator<Item = Point> {
    let named = [
        (50.0, Some(latency.p50_us)),
        (90.0, Some(latency.p90_us)),
        (99.0, Some(latency.p99_us)),
        (99.9, latency.p999_us),
        (99.99, latency.p9999_us),
    ];
    named
        .into_iter()
        .filter_map(|(percentile, us)| Some(Point { percentile, us: us? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, sample};

    #[test]
    fn percentiles_lie_between_the_known_ones_and_need_requests_beyond() {
        let close = |left: Option<f64>, right: f64| left.is_some_and(|left| (left - right).abs() < 1e-6);
        let mut sample = sample("squall", 1, 5.0);
        assert!(
            close(latency_at(&sample, 50.0), 10.0),
            "without a curve, the named ones"
        );
        assert!(close(latency_at(&sample, 90.0), 20.0));
        assert_eq!(latency_at(&sample, 99.5), None, "nothing is known there");
        if let Some(latency) = &mut sample.latency {
            let curve = [(50.0, 1.0), (90.0, 2.0), (99.0, 8.0), (100.0, 9.0)];
            latency.curve = curve.map(|(percentile, us)| Point { percentile, us }).into();
        }
        assert!(close(latency_at(&sample, 90.0 - 1e-9), 2.0));
        let half_a_nine = 100.0 * (1.0 - 10_f64.powf(-1.5));
        assert!(
            close(latency_at(&sample, half_a_nine), 4.0),
            "half way on a logarithmic axis"
        );
        assert_eq!(
            latency_at(&sample, 99.5),
            None,
            "the greatest of all has no place on the axis"
        );
        sample.requests = 99;
        assert_eq!(latency_at(&sample, 90.0), None, "9.9 requests lie beyond");
    }

    #[test]
    fn curve_ends_where_one_of_its_rounds_does() {
        let mut record = record();
        record
            .samples
            .iter_mut()
            .filter(|sample| sample.round == 2)
            .for_each(|sample| sample.requests = 500);
        let workload = record.workloads.first().cloned().unwrap();
        let view = View::of(&record, &workload);
        let drawn = latency(&view).unwrap().svg;
        assert!(
            drawn.contains(">99</text>") && !drawn.contains(">99.9</text>"),
            "the axis ends with the curves: {drawn}"
        );
        assert!(percentile_mark(&view, "squall", 97.0).is_some());
        assert!(percentile_mark(&view, "squall", 99.0).is_none());
    }

    #[test]
    fn charts_show_only_measured_figures() {
        let mut record = record();
        let workload = record.workloads.remove(0);
        let view = View::of(&record, &workload);
        let chart = cpu(&view).unwrap();
        assert!(chart.svg.contains(">squall</text>") && chart.svg.contains(r#"class="user""#));
        assert!(latency(&view).is_some());
        assert!(plain(&view, Figure::SystemCalls, "calls".to_owned(), "").is_none());
        assert!(sweep(&view, Figure::P99).is_none());
    }
}
