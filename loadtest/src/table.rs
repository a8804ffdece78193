//! Markdown tables, readable as they are in a terminal, and figures with their spread.

use crate::measurement::{Sample, Summary};
use crate::statistics::Spread;
use crate::workload::{Measures, Workload};

/// A table whose first column is text and whose others are figures.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: impl IntoIterator<Item = String>) -> Self {
        Self {
            rows: vec![headings.into_iter().collect()],
        }
    }

    pub(crate) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes the table with its columns aligned.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let width_of = |column| {
            self.rows
                .iter()
                .map(|row| cell(row, column).chars().count())
                .max()
                .unwrap_or(0)
                .max(3)
        };
        let widths: Vec<usize> = (0..columns).map(width_of).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                let cell = cell(row, column);
                text += &if column == 0 {
                    format!("| {cell:<width$} ")
                } else {
                    format!("| {cell:>width$} ")
                };
            }
            text += "|\n";
            if index == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width - 1);
                    text += &if column == 0 {
                        format!("| {dashes}- ")
                    } else {
                        format!("| {dashes}: ")
                    };
                }
                text += "|\n";
            }
        }
        text
    }
}

/// The section of one workload: its title, its table, and the noise seen while it was measured.
pub(crate) fn workload_section(
    workload: &Workload,
    samples: &[Sample],
    contenders: &[String],
    baseline: &str,
) -> String {
    let mut summaries: Vec<Summary> = contenders
        .iter()
        .filter_map(|name| Summary::of(samples, workload, name, baseline))
        .collect();
    summaries.sort_by(|left, right| main_figure(workload, left).total_cmp(&main_figure(workload, right)));
    let mut table = Table::new(headings(workload.measures, baseline));
    for summary in &summaries {
        table.push(row(workload.measures, summary));
    }
    let mut text = format!("### {}: {}\n\n{}", workload.name, workload.title, table.render());
    for summary in summaries.iter().filter(|summary| summary.errors > 0) {
        text += &format!("\n**{} failed {} requests.**\n", summary.contender, summary.errors);
    }
    text += &format!("\n{}\n", noise(workload, samples));
    text
}

fn main_figure(workload: &Workload, summary: &Summary) -> f64 {
    match workload.measures {
        Measures::Capacity => summary.cpu_us_per_request.median,
        Measures::Latency => summary.latency_p50_us.map_or(f64::INFINITY, |spread| spread.median),
    }
}

fn headings(measures: Measures, baseline: &str) -> Vec<String> {
    let (columns, ratio): (&[&str], _) = match measures {
        Measures::Capacity => (
            &[
                "contender",
                "requests/s",
                "CPU µs/request",
                "user",
                "system",
                "server busy",
                "p50 µs",
                "p99 µs",
            ],
            format!("CPU × {baseline}"),
        ),
        Measures::Latency => (
            &[
                "contender",
                "p50 µs",
                "p99 µs",
                "requests/s",
                "CPU µs/request",
                "user",
                "system",
                "server busy",
            ],
            format!("p50 × {baseline}"),
        ),
    };
    columns
        .iter()
        .map(|heading| (*heading).to_owned())
        .chain([ratio])
        .collect()
}

fn row(measures: Measures, summary: &Summary) -> Vec<String> {
    let name = summary.contender.clone();
    let rate = figure(summary.requests_per_second, 0);
    let cpu = [
        summary.cpu_us_per_request,
        summary.user_us_per_request,
        summary.system_us_per_request,
    ];
    let [cpu, user, system] = cpu.map(|spread| figure(spread, 2));
    let busy = format!("{:.0} %", summary.server_busy.median * 100.0);
    let [p50, p99] = [summary.latency_p50_us, summary.latency_p99_us].map(|spread| figure_or_dash(spread, 0));
    let ratio = |spread| figure_or_dash(spread, 3);
    match measures {
        Measures::Capacity => vec![name, rate, cpu, user, system, busy, p50, p99, ratio(summary.cpu_ratio)],
        Measures::Latency => vec![
            name,
            p50,
            p99,
            rate,
            cpu,
            user,
            system,
            busy,
            ratio(summary.latency_p50_ratio),
        ],
    }
}

/// A median with the least and the greatest value, such as `5.12 (5.08–5.20)`.
fn figure(spread: Spread, decimals: usize) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
}

fn figure_or_dash(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| figure(spread, decimals))
}

fn noise(workload: &Workload, samples: &[Sample]) -> String {
    let worst = |figure: fn(&Sample) -> f64| {
        let of_workload = samples.iter().filter(|sample| sample.workload == workload.name);
        of_workload.map(figure).fold(0.0, f64::max) * 100.0
    };
    format!(
        "Noise, worst window: others took {:.0} % of the server's core and {:.0} % of the load's, the hypervisor {:.1} %. \
         The load generator was busy {:.0} % at most.",
        worst(|sample| sample.others_on_server_core),
        worst(|sample| sample.others_on_load_core),
        worst(|sample| sample.stolen),
        worst(|sample| sample.load_busy),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::tests::{sample, workload};

    #[test]
    fn columns_are_aligned_by_characters_not_bytes() {
        let mut table = Table::new(["name".to_owned(), "µs".to_owned()]);
        table.push(["a".to_owned(), "5.12 (5.08–5.20)".to_owned()]);
        let expected = "\
| name |               µs |
| ---- | ---------------: |
| a    | 5.12 (5.08–5.20) |
";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn section_lists_the_leanest_first_with_ratios_and_noise() {
        let samples = [sample("slow", 1, 1000, 2, 6), sample("floor", 1, 1000, 1, 3)];
        let names = ["slow".to_owned(), "floor".to_owned(), "never-run".to_owned()];
        let section = workload_section(&workload("capacity"), &samples, &names, "floor");
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with('|')).skip(2).collect();
        let [first, second] = rows.as_slice() else {
            panic!("{section}")
        };
        assert!(
            first.starts_with("| floor") && first.ends_with("1.000 (1.000–1.000) |"),
            "{first}"
        );
        assert!(
            second.starts_with("| slow") && second.ends_with("2.000 (2.000–2.000) |"),
            "{second}"
        );
        assert!(
            second.contains("8.00 (8.00–8.00) | 2.00 (2.00–2.00) | 6.00 (6.00–6.00) |"),
            "{second}"
        );
        assert!(section.contains("others took 90 % of the server's core"), "{section}");
    }

    #[test]
    fn latency_is_compared_by_its_median() {
        let samples = [
            sample("a", 2, 10, 1, 1),
            sample("floor", 2, 10, 9, 9),
            sample("a", 1, 10, 1, 1),
        ];
        let section = workload_section(
            &workload("latency"),
            &samples,
            &["a".to_owned(), "floor".to_owned()],
            "floor",
        );
        assert!(section.contains("p50 × floor"), "{section}");
        assert!(section.contains("| 15 (10–20) |"), "{section}");
        assert!(section.contains("1.000 (1.000–1.000) |"), "{section}");
    }

    #[test]
    fn latency_that_is_not_known_is_a_dash() {
        let mut pipelined = sample("floor", 1, 1000, 1, 3);
        pipelined.wrk.latency = None;
        let section = workload_section(&workload("capacity"), &[pipelined], &["floor".to_owned()], "floor");
        assert!(section.contains("|      – |      – | 1.000"), "{section}");
    }

    #[test]
    fn failed_requests_are_shown() {
        let mut failing = sample("floor", 1, 1000, 1, 3);
        failing.wrk.errors = 12;
        let section = workload_section(&workload("capacity"), &[failing], &["floor".to_owned()], "floor");
        assert!(section.contains("**floor failed 12 requests.**"), "{section}");
    }
}
