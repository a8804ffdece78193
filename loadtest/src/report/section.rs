//! The section of one workload in a report: findings, charts and a table.

use super::figures::{self, Chart};
use super::finding::Finding;
use super::findings;
use super::table::{Cell, Table};
use super::{number, palette};
use crate::record::{Figure, Kind, View};
use crate::statistics::Spread;

/// One workload in a report.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) title: String,
    /// Its parameters.
    pub(super) parameters: String,
    pub(super) findings: Vec<Finding>,
    pub(super) charts: Vec<Chart>,
    pub(super) table: Table,
    /// A note below the table; empty for none.
    pub(super) note: String,
}

impl Section {
    /// Makes the section; returns `None` if no contender ran under the workload.
    pub(super) fn of(view: &View<'_>) -> Option<Self> {
        view.windows().first()?;
        let workload = view.workload;
        let parameters = workload
            .parameters
            .iter()
            .map(|(name, value)| format!("{} {value}", name.replace('_', " ")));
        Some(Self {
            name: workload.name.clone(),
            title: workload.title.clone(),
            parameters: parameters.collect::<Vec<String>>().join(", "),
            findings: findings::of_workload(view),
            charts: charts(view),
            table: match workload.kind {
                Kind::Sweep => sweep_table(view),
                kind => table(view, columns(kind)),
            },
            note: match (workload.kind, view.baseline) {
                (Kind::Idle, _) => "Memory is that of the process, without the kernel's socket buffers.".to_owned(),
                (Kind::Sweep, _) => format!(
                    "p99 latency at each offered rate. A dagger marks a rate of which less than {:.0} % was answered.",
                    crate::record::SUSTAINED_SHARE * 100.0
                ),
                (Kind::Slow, _) => "Latencies are those of the subscribers that read. A message to a stalled \
                                    subscriber is accounted for if the subscriber received it in the end, if the \
                                    server announced it as missed, or if the server closed the connection."
                    .to_owned(),
                (_, None) => "The table has no ratios, because no floor ran under this workload.".to_owned(),
                (_, Some(_)) => String::new(),
            },
        })
    }
}

fn charts(view: &View<'_>) -> Vec<Chart> {
    let kind = view.workload.kind;
    let calls = format!("System calls per {}", kind.unit());
    let calls = |view| {
        figures::plain(
            view,
            Figure::SystemCalls,
            calls.clone(),
            "Counted in a separate window, because counting slows the server down.",
        )
    };
    let charts = match kind {
        Kind::Idle => vec![
            figures::plain(
                view,
                Figure::ConnectionMemory,
                "Memory per connection, KiB".to_owned(),
                "Growth of the process's proportional memory, divided by the connections.",
            ),
            figures::plain(
                view,
                Figure::EmptyMemory,
                "Empty process, MiB".to_owned(),
                "Resident memory before the first connection.",
            ),
        ],
        Kind::Sweep => vec![figures::sweep(view, Figure::P50), figures::sweep(view, Figure::P99)],
        Kind::Transfer => vec![
            figures::cpu(view),
            figures::plain(
                view,
                Figure::PeakGrowth,
                "Growth of resident memory, MiB".to_owned(),
                "The peak during the transfers, above the empty process.",
            ),
        ],
        Kind::Latency | Kind::Rate | Kind::Hop | Kind::Slow => {
            vec![figures::latency(view), figures::cpu(view), calls(view)]
        }
        _ => vec![figures::cpu(view), figures::latency(view), calls(view)],
    };
    charts.into_iter().flatten().collect()
}

/// Returns the columns of a workload's table; missing figures are dashes, and columns without figures are omitted.
fn columns(kind: Kind) -> &'static [Figure] {
    use Figure::{
        AnswerBytes, Closed, ConnectionMemory, Cpu, EmptyMemory, FarP50, IdleCpu, Lost, Max, NearP50, P50, P90, P99,
        P999, P9999, PeakGrowth, QuietP99, ServerBusy, SlowHeadsCut, SlowMemory, System, SystemCalls, Throughput,
        Unaccounted, User, WakeUps,
    };
    match kind {
        Kind::Latency | Kind::Rate => &[
            P50,
            P90,
            P99,
            P999,
            P9999,
            Max,
            Throughput,
            Cpu,
            SystemCalls,
            ServerBusy,
            SlowHeadsCut,
        ],
        Kind::Idle => &[ConnectionMemory, EmptyMemory, IdleCpu, WakeUps],
        Kind::Transfer => &[Cpu, User, System, Throughput, PeakGrowth, ServerBusy],
        Kind::Hop => &[NearP50, FarP50, P99, Cpu, SystemCalls, Lost],
        Kind::Slow => &[P99, QuietP99, SlowMemory, Unaccounted, Closed, Lost, Cpu, ServerBusy],
        Kind::FanOut => &[
            Cpu,
            User,
            System,
            Throughput,
            P50,
            P99,
            P999,
            Lost,
            SystemCalls,
            ServerBusy,
        ],
        Kind::Capacity | Kind::Pipelined | Kind::Churn | Kind::Echo | Kind::Sweep => &[
            Cpu,
            User,
            System,
            Throughput,
            P50,
            P99,
            P999,
            AnswerBytes,
            SystemCalls,
            ServerBusy,
        ],
    }
}

fn table(view: &View<'_>, figures: &[Figure]) -> Table {
    let kind = view.workload.kind;
    let ranked = view.ranked();
    let is_known = |figure: &&Figure| ranked.iter().any(|name| view.spread(name, **figure).is_some());
    let figures: Vec<Figure> = figures.iter().filter(is_known).copied().collect();
    let decimals: Vec<usize> = figures
        .iter()
        .map(|figure| column_decimals(view, *figure, &ranked))
        .collect();
    let baseline = view.baseline.filter(|_| kind != Kind::Idle);
    let ratio = baseline.map(|baseline| format!("{} × {baseline}", ratio_heading(kind)));
    let headings = ratio
        .into_iter()
        .chain(figures.iter().map(|figure| figure.heading(kind)));
    let mut table = Table::new(["server"], headings);
    for name in ranked {
        let mut cells = vec![Cell::of(name)];
        if baseline.is_some() {
            let comparison = view.to_baseline(name);
            cells.push(comparison.map_or_else(Cell::absent, |comparison| {
                let ratio = number::ratio(comparison.ratio.median);
                with_range(Cell::of(ratio), comparison.ratio, number::ratio_range)
            }));
        }
        for (figure, decimals) in figures.iter().zip(&decimals) {
            cells.push(cell(*figure, view.spread(name, *figure), *decimals));
        }
        table.push(palette::class(view.record, name), cells);
    }
    table
}

/// Returns the heading of the ratio column, before the name of the baseline.
fn ratio_heading(kind: Kind) -> &'static str {
    match kind.main_figure() {
        Figure::P50 | Figure::FarP50 => "p50",
        Figure::P99 => "p99",
        _ => "CPU",
    }
}

fn column_decimals(view: &View<'_>, figure: Figure, names: &[&str]) -> usize {
    let medians = names
        .iter()
        .filter_map(|name| view.spread(name, figure))
        .map(|spread| spread.median);
    let smallest = medians.filter(|median| *median > 0.0).fold(f64::INFINITY, f64::min);
    number::decimals_of(figure, smallest)
}

fn cell(figure: Figure, spread: Option<Spread>, decimals: usize) -> Cell {
    let Some(spread) = spread else { return Cell::absent() };
    let median = Cell::of(number::figure(figure, spread.median, decimals));
    with_range(median, spread, |spread| number::figure_range(figure, spread, decimals))
}

/// Adds the range if the rounds differ.
fn with_range(cell: Cell, spread: Spread, write: impl Fn(Spread) -> String) -> Cell {
    match spread.max > spread.min {
        true => cell.with_range(write(spread)),
        false => cell,
    }
}

/// Makes the table of a sweep, with a column for each rate.
fn sweep_table(view: &View<'_>) -> Table {
    let rates = view.offered_rates();
    let headings = rates.iter().map(|rate| format!("at {}/s", number::rate(*rate)));
    let kept = std::iter::once(format!("{}/s sustained", view.workload.kind.units()));
    let mut table = Table::new(["server"], kept.chain(headings));
    for name in view.ranked() {
        let sustained = view
            .sustained_rate(name)
            .map_or_else(Cell::absent, |rate| Cell::of(number::grouped(rate, 0)));
        let mut cells = vec![Cell::of(name), sustained];
        for rate in &rates {
            let view = view.at_rate(*rate);
            let answered = view.spread(name, Figure::Throughput);
            let is_missed = answered.is_some_and(|answered| answered.median < rate * crate::record::SUSTAINED_SHARE);
            let mut cell = cell(Figure::P99, view.spread(name, Figure::P99), 0);
            if is_missed {
                cell.text.push('†');
            }
            cells.push(cell);
        }
        table.push(palette::class(view.record, name), cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, sample, workload};

    #[test]
    fn table_has_the_measured_columns_with_medians_ranges_and_ratios() {
        let record = record();
        let capacity = workload("plaintext-64", Kind::Capacity);
        let section = Section::of(&View::of(&record, &capacity)).unwrap();
        let headings: Vec<&str> = section
            .table
            .headings
            .iter()
            .map(|heading| heading.text.as_str())
            .collect();
        let expected = [
            "server",
            "CPU × floor-epoll",
            "CPU/request",
            "user",
            "system",
            "requests/s",
            "p50",
            "p99",
        ];
        assert_eq!(headings, expected);
        let row = section.table.rows.get(1).unwrap();
        assert_eq!(row.class, "subject");
        assert_eq!(row.cells[1], Cell::of("1.19×").with_range("1.12–1.25×".to_owned()));
        assert_eq!(row.cells[2], Cell::of("7.00 µs").with_range("5.00–9.00 µs".to_owned()));
        assert_eq!(row.cells[5], Cell::of("100,000"), "it did not vary");
        assert_eq!(section.parameters, "connections 64");
    }

    #[test]
    fn sweep_marks_the_rates_that_were_missed() {
        let mut record = record();
        record.samples = [(100.0, 100.0), (200.0, 150.0)]
            .map(|(rate, answered)| crate::record::Sample {
                offered_rate: Some(rate),
                requests_per_second: answered,
                ..sample("squall", 1, 5.0)
            })
            .into();
        let sweep = workload("plaintext-64", Kind::Sweep);
        let table = Section::of(&View::of(&record, &sweep)).unwrap().table;
        let cells: Vec<&str> = table.rows[0].cells.iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(cells, ["squall", "100", "30.0 µs", "30.0 µs†"]);
    }

    #[test]
    fn workload_without_samples_has_no_section() {
        let record = record();
        assert!(Section::of(&View::of(&record, &workload("absent", Kind::Idle))).is_none());
    }
}
