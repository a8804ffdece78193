//! The charts of one workload: what each contender costs, and how long its clients wait.

use super::chart::{Axis, Bar, BarChart, CurveChart, Mark, Measure, Series, linear_ticks, log_ticks};
use super::{number, palette};
use crate::record::{Figure, Latency, Sample, View};
use crate::statistics::Spread;

/// A chart with its caption.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    /// How to read it.
    pub(super) note: String,
    /// An SVG element, in which everything that came from the record is escaped.
    pub(super) svg: String,
}

/// Requests that a percentile must leave above itself to be drawn: fewer are anecdotes.
const BEYOND_MIN: f64 = 10.0;

/// Steps of a latency curve from its median to four nines.
const CURVE_STEPS: u32 = 60;

/// CPU time per request, user and system stacked, with error bars; `None` if nobody's was measured.
pub(super) fn cpu(view: &View<'_>) -> Option<Chart> {
    let kind = view.workload.kind;
    let parts = |name: &str| {
        let median = |figure| view.spread(name, figure).map_or(0.0, |spread| spread.median);
        vec![("user", median(Figure::User)), ("system", median(Figure::System))]
    };
    let chart = bars(view, Figure::Cpu, parts)?;
    Some(Chart {
        title: format!("CPU per {}, µs", kind.unit()),
        note: format!(
            "Solid: user mode; light: in the kernel. {} The dashed line is the floor.",
            whiskers(view)
        ),
        svg: chart.draw(),
    })
}

/// Any other figure as plain bars; `None` if nobody's was measured.
pub(super) fn plain(view: &View<'_>, figure: Figure, title: String, note: &str) -> Option<Chart> {
    let parts = |name: &str| vec![("system", view.spread(name, figure).map_or(0.0, |spread| spread.median))];
    let svg = bars(view, figure, parts)?.draw();
    Some(Chart {
        title,
        note: note.to_owned(),
        svg,
    })
}

fn whiskers(view: &View<'_>) -> String {
    match view.record.rounds {
        1 => "One round.".to_owned(),
        rounds => format!("Bars are medians of {rounds} rounds, error bars the least and the greatest."),
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
            figure: number::grouped(spread.median, decimals),
            hover: format!(
                "{name}: {} ({})",
                number::grouped(spread.median, decimals),
                number::range(*spread, decimals)
            ),
            remark,
        }
    };
    let floor = known.iter().find(|(name, _)| Some(*name) == view.baseline);
    Some(BarChart {
        label: format!("{} of each contender, as bars", figure.phrase(view.workload.kind)),
        bars: known.iter().map(bar).collect(),
        reference: floor.map(|(_, spread)| spread.median),
    })
}

/// Latency over percentiles; `None` if no latency was measured.
pub(super) fn latency(view: &View<'_>) -> Option<Chart> {
    let percentiles: Vec<f64> = (0..=CURVE_STEPS)
        .map(|step| {
            // From one half, which is 0.301 nines, to four nines.
            let nines = 0.301_03 + (4.0 - 0.301_03) * f64::from(step) / f64::from(CURVE_STEPS);
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
    let x = Axis {
        measure: Measure::Nines,
        ticks: [50.0, 90.0, 99.0, 99.9, 99.99]
            .map(|percentile| (percentile, percentile.to_string()))
            .into(),
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
            "Medians of the rounds; the bands span all rounds. A curve ends where fewer than {BEYOND_MIN} {} lie beyond.",
            view.workload.kind.units()
        ),
        svg: chart.draw(),
    })
}

/// Latency at one percentile over the offered rate; `None` if nobody was measured at two rates.
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
    let x = Axis {
        measure: Measure::Linear,
        ticks: linear_ticks(greatest)
            .into_iter()
            .map(|rate| (rate, number::rate(rate)))
            .collect(),
        title: format!("{}/s offered", view.workload.kind.units()),
    };
    let phrase = figure.phrase(view.workload.kind);
    let chart = CurveChart {
        label: format!("{phrase} of each contender over the offered rate, as curves"),
        x,
        y,
        series,
    };
    let mut title = phrase;
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Some(Chart {
        title: format!("{title} as the rate rises"),
        note:
            "An open loop: latency counts from when a request was due. A ring marks a rate that was not kept up with."
                .to_owned(),
        svg: chart.draw(),
    })
}

/// A curve for each contender that has a point, in the order they are drawn.
fn series(view: &View<'_>, has_points: bool, curve: impl Fn(&str) -> Vec<Mark>) -> Vec<Series> {
    let mut names: Vec<&str> = view.contenders().collect();
    names.sort_by_key(|name| palette::layer(name));
    let series = names.into_iter().map(|name| Series {
        name: name.to_owned(),
        class: palette::class(view.record, name),
        has_band: view.record.rounds > 1 && palette::layer(name) > 1,
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

/// A logarithmic axis of times that holds every mark; `None` if there is none.
fn time_axis(series: &[Series], unit: &str) -> Option<Axis> {
    let marks = || series.iter().flat_map(|series| &series.marks);
    let heights = Spread::of(marks().flat_map(|mark| [mark.low, mark.high]))?;
    let ticks = log_ticks(heights.min, heights.max)
        .into_iter()
        .map(|us| (us, number::microseconds(us)));
    Some(Axis {
        measure: Measure::Logarithmic,
        ticks: ticks.collect(),
        title: format!("latency of a {unit}"),
    })
}

/// The latency at a percentile over all rounds; `None` if no round has enough requests beyond it.
fn percentile_mark(view: &View<'_>, name: &str, percentile: f64) -> Option<Mark> {
    let latencies = view.samples(name).filter_map(|sample| latency_at(sample, percentile));
    Some(mark(percentile, Spread::of(latencies)?, false))
}

fn latency_at(sample: &Sample, percentile: f64) -> Option<f64> {
    let beyond = (1.0 - percentile / 100.0) * sample.requests as f64;
    let latency = sample.latency.as_ref().filter(|_| beyond >= BEYOND_MIN)?;
    // A percentile of 89.99999 that stands for 90 must not fall into the step after it.
    let reaches = |known: f64| known >= percentile - 1e-6;
    if latency.curve.is_empty() {
        return named_points(latency)
            .into_iter()
            .find_map(|(known, us)| us.filter(|_| reaches(known)));
    }
    latency
        .curve
        .iter()
        .find(|point| reaches(point.percentile))
        .map(|point| point.us)
}

/// The percentiles a latency names, for one that has no curve.
fn named_points(latency: &Latency) -> [(f64, Option<f64>); 5] {
    [
        (50.0, Some(latency.p50_us)),
        (90.0, Some(latency.p90_us)),
        (99.0, Some(latency.p99_us)),
        (99.9, latency.p999_us),
        (99.99, latency.p9999_us),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, sample};
    use crate::record::{Point, View};

    #[test]
    fn percentile_is_the_first_step_that_reaches_it_and_needs_requests_beyond() {
        let mut sample = sample("squall", 1, 5.0);
        assert_eq!(latency_at(&sample, 50.0), Some(10.0), "without a curve, the named ones");
        assert_eq!(latency_at(&sample, 90.1), Some(30.0));
        assert_eq!(latency_at(&sample, 99.5), None);
        if let Some(latency) = &mut sample.latency {
            latency.curve = [(50.0, 1.0), (90.0, 2.0), (100.0, 9.0)]
                .map(|(percentile, us)| Point { percentile, us })
                .into();
        }
        assert_eq!(latency_at(&sample, 90.0), Some(2.0));
        assert_eq!(latency_at(&sample, 90.1), Some(9.0));
        sample.requests = 99;
        assert_eq!(latency_at(&sample, 90.0), None, "9.9 requests lie beyond");
    }

    #[test]
    fn charts_are_drawn_of_what_was_measured_and_of_nothing_else() {
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
