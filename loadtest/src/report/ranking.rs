//! The two overview charts: each server's distance from the floor, and io_uring compared with epoll.

use super::chart::{Dot, DotChart, Row};
use super::figures::Chart;
use super::palette::{RIVAL, SUBJECT};
use super::{number, palette};
use crate::record::{Kind, Record, View};

/// Possible ticks of a ratio axis.
const TICKS: [f64; 15] = [
    0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0,
];

/// The least distance between ticks, as a share of the axis.
const TICK_DISTANCE: f64 = 0.16;

/// The least end of the axis; it also covers all of Squall's dots. Dots beyond it are arrows, because a longer axis
/// would squeeze the dots near the floor into one spot.
const REACH: f64 = 2.0;

/// Draws each contender's main figure divided by the floor's, one row per workload; returns `None` if no workload has a
/// floor.
///
/// Idle memory is excluded: the floor keeps only a few bytes per connection, so its ratio means little.
pub(super) fn floor(record: &Record) -> Option<Chart> {
    let subjects: Vec<&str> = [SUBJECT, RIVAL]
        .into_iter()
        .filter(|name| record.participant(name).is_some())
        .collect();
    let views: Vec<View<'_>> = record
        .views()
        .into_iter()
        .filter(|view| view.workload.kind != Kind::Idle && view.baseline.is_some())
        .collect();
    // A ratio without a statement may be arbitrarily large and would stretch the axis.
    let own = views
        .iter()
        .flat_map(|view| subjects.iter().filter_map(|name| view.statement_to_baseline(name).ok()));
    let reach = own.map(|comparison| comparison.ratio.median).fold(REACH, f64::max);
    let rows: Vec<Row> = views.iter().map(|view| floor_row(view, &subjects)).collect();
    let columns = subjects
        .iter()
        .map(|name| ((*name).to_owned(), palette::class(record, name)));
    let chart = DotChart {
        label: "Each contender's cost divided by the floor's, a row of dots for each workload".to_owned(),
        ticks: ticks(&rows, reach)?,
        sides: None,
        columns: columns.collect(),
        rows,
    };
    Some(Chart {
        title: "Cost as a multiple of the floor’s".to_owned(),
        note: "A dot is a server: its CPU per request, or its latency in a latency workload. Grey: other servers; an \
               arrow: beyond the axis; grey rings: other floors; a dash: no statement. 1× is a bare loop, which shows \
               the cost of the kernel."
            .to_owned(),
        is_tall: false,
        svg: chart.draw(),
    })
}

fn floor_row(view: &View<'_>, subjects: &[&str]) -> Row {
    let mut names: Vec<&str> = view.contenders().filter(|name| Some(*name) != view.baseline).collect();
    names.sort_by_key(|name| palette::layer(name));
    let dots = names.into_iter().filter_map(|name| {
        let ratio = view.to_baseline(name)?.ratio;
        Some(Dot {
            class: palette::class(view.record, name),
            ratio: ratio.median,
            range: None,
            radius: if subjects.contains(&name) { 5.5 } else { 4.0 },
            hover: format!(
                "{name}: {} ({})",
                number::ratio(ratio.median),
                number::ratio_range(ratio)
            ),
        })
    });
    let column = |name: &&str| {
        let comparison = view.statement_to_baseline(name);
        comparison.map_or_else(|_| "–".to_owned(), |comparison| number::ratio(comparison.ratio.median))
    };
    Row {
        name: view.workload.name.clone(),
        dots: dots.collect(),
        columns: subjects.iter().map(column).collect(),
    }
}

/// Draws Squall's main figure on io_uring divided by that on epoll, one row per workload that supports a statement;
/// returns `None` without a row.
pub(super) fn drivers(record: &Record) -> Option<Chart> {
    let rows: Vec<Row> = record.views().iter().filter_map(drivers_row).collect();
    let chart = DotChart {
        label: "Squall on io_uring divided by Squall on epoll, a dot for each workload".to_owned(),
        ticks: ticks(&rows, f64::INFINITY)?,
        sides: Some(("← io_uring takes less".to_owned(), "epoll takes less →".to_owned())),
        columns: vec![(String::new(), "plain".to_owned())],
        rows,
    };
    Some(Chart {
        title: "Squall on io_uring ÷ Squall on epoll".to_owned(),
        note: "The same binary in the same rounds. A line spans the interval of the median. A ring: the two ranges \
               overlap, so this run shows no difference."
            .to_owned(),
        is_tall: false,
        svg: chart.draw(),
    })
}

fn drivers_row(view: &View<'_>) -> Option<Row> {
    let comparison = view.statement(SUBJECT, RIVAL).ok()?;
    let ratio = comparison.ratio;
    let class = match comparison.tells_apart {
        false => "undecided open",
        true if ratio.median < 1.0 => "subject",
        true => "rival",
    };
    Some(Row {
        name: view.workload.name.clone(),
        dots: vec![Dot {
            class: class.to_owned(),
            ratio: ratio.median,
            range: Some((ratio.min, ratio.max)),
            radius: 5.5,
            hover: format!("{} ({})", number::ratio(ratio.median), number::ratio_range(ratio)),
        }],
        columns: vec![number::ratio(ratio.median)],
    })
}

/// Returns spaced ticks on both sides of 1 that enclose all dots up to `reach`; `None` without a dot.
fn ticks(rows: &[Row], reach: f64) -> Option<Vec<(f64, String)>> {
    let dots = || rows.iter().flat_map(|row| &row.dots);
    dots().next()?;
    let ends = dots().flat_map(|dot| {
        let (low, high) = dot.range.unwrap_or((dot.ratio, dot.ratio));
        [low, high]
    });
    let (least, greatest) = ends.fold((1.0_f64, 1.0_f64), |(least, greatest), end| {
        (least.min(end), greatest.max(end.min(reach)))
    });
    let below = TICKS.iter().rfind(|tick| **tick < least * 0.99);
    let above = TICKS.iter().find(|tick| **tick > greatest * 1.01);
    let (first, last) = (below.copied().unwrap_or(least), above.copied().unwrap_or(greatest));
    let distance = (last / first).ln() * TICK_DISTANCE;
    let is_apart = |tick: f64, others: &[f64]| others.iter().all(|other| (tick / other).ln().abs() >= distance);
    let mut chosen = vec![1.0];
    chosen.extend([first, last].into_iter().filter(|end| (end - 1.0).abs() > f64::EPSILON));
    for tick in TICKS {
        if first < tick && tick < last && is_apart(tick, &chosen) {
            chosen.push(tick);
        }
    }
    chosen.sort_by(f64::total_cmp);
    Some(chosen.into_iter().map(|tick| (tick, tick_label(tick))).collect())
}

fn tick_label(tick: f64) -> String {
    let digits = format!("{tick:.2}");
    format!("{}×", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, sample};

    fn row(ratios: &[f64]) -> Row {
        let dot = |ratio: &f64| Dot {
            class: String::new(),
            ratio: *ratio,
            range: None,
            radius: 1.0,
            hover: String::new(),
        };
        Row {
            name: String::new(),
            columns: Vec::new(),
            dots: ratios.iter().map(dot).collect(),
        }
    }

    #[test]
    fn ticks_enclose_the_dots_within_reach_and_hold_the_one() {
        for (ratios, reach, figures) in [
            (&[1.05][..], 2.0, &[0.9, 1.0, 1.1][..]),
            (&[0.85, 1.3], 2.0, &[0.8, 0.9, 1.0, 1.25, 1.5]),
            (&[0.95, 40.0], 2.0, &[0.9, 1.0, 1.25, 2.0, 3.0]),
        ] {
            let ticks = ticks(&[row(ratios)], reach).unwrap();
            let found: Vec<f64> = ticks.into_iter().map(|tick| tick.0).collect();
            assert_eq!(found, figures);
        }
        let wide = ticks(&[row(&[0.01, 40.0])], f64::INFINITY).unwrap();
        assert_eq!(wide.first(), Some(&(0.01, "0.01×".to_owned())));
        assert_eq!(wide.last(), Some(&(40.0, "40×".to_owned())));
        assert!(ticks(&[row(&[])], 2.0).is_none());
    }

    #[test]
    fn overlapping_drivers_are_a_ring() {
        let mut record = record();
        let mut rival = record.contenders.first().cloned().unwrap();
        rival.name = RIVAL.to_owned();
        record.contenders.push(rival);
        assert!(drivers(&record).is_none(), "epoll did not run");
        record.samples.extend([sample(RIVAL, 1, 5.5), sample(RIVAL, 2, 8.0)]);
        assert!(drivers(&record).unwrap().svg.contains("undecided open"));
        record.samples.retain(|sample| sample.contender != RIVAL);
        record.samples.extend([sample(RIVAL, 1, 15.0), sample(RIVAL, 2, 18.0)]);
        let svg = drivers(&record).unwrap().svg;
        assert!(svg.contains(r#"class="dot subject""#), "{svg}");
    }
}
