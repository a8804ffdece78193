//! The two charts about everything: how far each server is from the floor, and io_uring beside epoll.

use super::chart::{Dot, DotChart, Row};
use super::figures::Chart;
use super::palette::{RIVAL, SUBJECT};
use super::{number, palette};
use crate::record::{Kind, Record, View};

/// Ratios that an axis may have ticks at.
const TICKS: [f64; 19] = [
    0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0,
];

/// Ticks that an axis has room for.
const TICKS_MAX: usize = 7;

/// Every contender's main figure divided by the floor's, a row for each workload; `None` if no workload has a floor.
///
/// Idle memory is left out: the floor keeps a few bytes for a connection, and a quotient of those says nothing.
pub(super) fn floor(record: &Record) -> Option<Chart> {
    let subjects: Vec<&str> = [SUBJECT, RIVAL]
        .into_iter()
        .filter(|name| record.participant(name).is_some())
        .collect();
    let views = views(record).filter(|view| view.workload.kind != Kind::Idle && view.baseline.is_some());
    let rows: Vec<Row> = views.map(|view| floor_row(&view, &subjects)).collect();
    let ticks = ticks(&rows)?;
    let columns = subjects
        .iter()
        .map(|name| ((*name).to_owned(), palette::class(record, name)));
    let chart = DotChart {
        label: "Each contender's cost divided by the floor's, a row of dots for each workload".to_owned(),
        ticks,
        sides: None,
        columns: columns.collect(),
        rows,
    };
    Some(Chart {
        title: "Cost as a multiple of the floor’s".to_owned(),
        note: "Each dot is a server: CPU per request, or latency where the workload is about latency. Grey: the other servers; hollow grey: other floors. \
               The line at 1× is the bare loop that shows what the kernel costs."
            .to_owned(),
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
        view.to_baseline(name)
            .map_or_else(|| "–".to_owned(), |ratio| number::ratio(ratio.ratio.median))
    };
    Row {
        name: view.workload.name.clone(),
        dots: dots.collect(),
        columns: subjects.iter().map(column).collect(),
    }
}

/// Squall's main figure on io_uring divided by the same on epoll, a row for each workload; `None` unless both ran.
pub(super) fn drivers(record: &Record) -> Option<Chart> {
    let rows: Vec<Row> = views(record).filter_map(|view| drivers_row(&view)).collect();
    let chart = DotChart {
        label: "Squall on io_uring divided by Squall on epoll, a dot for each workload".to_owned(),
        ticks: ticks(&rows)?,
        sides: Some(("← io_uring takes less".to_owned(), "epoll takes less →".to_owned())),
        columns: vec![(String::new(), "plain".to_owned())],
        rows,
    };
    Some(Chart {
        title: "Squall on io_uring, as a multiple of Squall on epoll".to_owned(),
        note: "The same binary, in the same rounds. Lines: the least and the greatest ratio of a round. A ring: the ranges overlap, so this run shows no difference."
            .to_owned(),
        svg: chart.draw(),
    })
}

fn drivers_row(view: &View<'_>) -> Option<Row> {
    let comparison = view.compare(SUBJECT, RIVAL, view.workload.kind.main_figure())?;
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

fn views(record: &Record) -> impl Iterator<Item = View<'_>> {
    record.workloads.iter().map(|workload| View::of(record, workload))
}

/// Ticks on both sides of 1 that enclose every dot; `None` if there is none.
fn ticks(rows: &[Row]) -> Option<Vec<(f64, String)>> {
    let dots = || rows.iter().flat_map(|row| &row.dots);
    dots().next()?;
    let ends = dots().flat_map(|dot| {
        let (low, high) = dot.range.unwrap_or((dot.ratio, dot.ratio));
        [low, high]
    });
    let (least, greatest) = ends.fold((0.9_f64, 1.1_f64), |(least, greatest), end| {
        (least.min(end), greatest.max(end))
    });
    let first = TICKS.iter().rposition(|tick| *tick <= least).unwrap_or(0);
    let last = TICKS
        .iter()
        .position(|tick| *tick >= greatest)
        .unwrap_or(TICKS.len() - 1);
    let chosen: Vec<f64> = TICKS.iter().copied().take(last + 1).skip(first).collect();
    // The ends and 1 stay; of the others, those that the longest quotient keeps apart.
    let step = chosen.len().div_ceil(TICKS_MAX);
    let count = chosen.len();
    let one = chosen.iter().position(|tick| *tick >= 1.0).unwrap_or(0);
    let kept = chosen.into_iter().enumerate().filter(|(index, _)| {
        let is_end = *index == 0 || *index + 1 == count;
        is_end || index.abs_diff(one) % step == 0
    });
    Some(kept.map(|(_, tick)| (tick, format!("{tick}×"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, sample};

    #[test]
    fn ticks_enclose_the_dots_and_hold_the_one() {
        let row = |ratios: &[f64]| Row {
            name: String::new(),
            columns: Vec::new(),
            dots: ratios
                .iter()
                .map(|ratio| Dot {
                    class: String::new(),
                    ratio: *ratio,
                    range: None,
                    radius: 1.0,
                    hover: String::new(),
                })
                .collect(),
        };
        let figures =
            |ratios: &[f64]| -> Vec<f64> { ticks(&[row(ratios)]).unwrap().into_iter().map(|tick| tick.0).collect() };
        assert_eq!(figures(&[1.05]), [0.9, 1.0, 1.1]);
        assert_eq!(figures(&[0.85, 1.3]), [0.8, 0.9, 1.0, 1.1, 1.25, 1.5]);
        let wide = figures(&[0.7, 40.0]);
        assert!(
            wide.contains(&1.0) && wide.first() == Some(&0.67) && wide.last() == Some(&50.0),
            "{wide:?}"
        );
        assert!(wide.len() <= TICKS_MAX + 2, "{wide:?}");
        assert!(ticks(&[row(&[])]).is_none());
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
