//! The findings of a record, computed as sentences: which servers are nearest the floor, and where io_uring and epoll
//! win.
//!
//! One contender leads another only if their ranges do not overlap. Findings about the whole record name only workloads
//! that support a statement ([`View::statement`]), and list the others with their reason.

use super::finding::Finding;
use super::palette::{RIVAL, SUBJECT, display_name};
use super::{number, warnings};
use crate::record::{APART_MAX, Comparison, Kind, NoStatement, Record, Role, View};

/// Returns the findings about the whole record.
pub(super) fn of_record(record: &Record) -> Vec<Finding> {
    let views = record.views();
    let mut findings = warnings::remarks(record);
    findings.extend(nearest_to_floor(&views));
    findings.extend(place_of_subject(&views));
    findings.extend(drivers(&views));
    findings.extend(warnings::failures(&views));
    findings.extend(warnings::noise(record));
    findings
}

/// Returns the findings about one workload.
pub(super) fn of_workload(view: &View<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(leader(view));
    if view.workload.kind == Kind::Sweep {
        findings.extend(sustained(view));
    }
    if let Some(comparison) = drivers_in(view) {
        let outcome = match comparison {
            Comparison { tells_apart: false, .. } => "no difference shown, as their ranges overlap",
            Comparison { ratio, .. } if ratio.median < 1.0 => "io_uring takes less",
            Comparison { .. } => "io_uring takes more",
        };
        let ratio = comparison.ratio;
        findings.push(Finding::plain(
            "io_uring ÷ epoll, Squall on both:",
            format!(
                "{} ({}), {outcome}.",
                number::ratio(ratio.median),
                number::ratio_range(ratio)
            ),
        ));
    }
    findings.extend(warnings::failures(std::slice::from_ref(view)));
    findings
}

/// Returns the leading servers: the one with the lowest figure, and those whose ranges overlap with its range.
fn leaders<'a>(view: &View<'a>) -> Vec<&'a str> {
    let figure = view.workload.kind.main_figure();
    let is_server = |name: &&str| Role::of(name) != Role::Floor && view.spread(name, figure).is_some();
    let servers: Vec<&str> = view.ranked().into_iter().filter(is_server).collect();
    let Some((first, others)) = servers.split_first() else {
        return Vec::new();
    };
    let ties = |name: &&&str| {
        view.compare(name, first, figure)
            .is_none_or(|comparison| !comparison.tells_apart)
    };
    std::iter::once(*first)
        .chain(others.iter().filter(ties).copied())
        .collect()
}

fn leader(view: &View<'_>) -> Option<Finding> {
    let kind = view.workload.kind;
    let leaders = leaders(view);
    let (first, ties) = leaders.split_first()?;
    let spread = view.spread(first, kind.main_figure())?;
    let decimals = number::decimals_of(kind.main_figure(), spread.median);
    let median = number::figure(kind.main_figure(), spread.median, decimals);
    let amount = match kind.main_figure().is_time() {
        true => median.replace(' ', "\u{a0}"),
        false => format!("{median}\u{a0}KiB"),
    };
    let beside = match (view.baseline, view.to_baseline(first)) {
        (Some(baseline), Some(comparison)) if kind != Kind::Idle => {
            format!(", {} that of {baseline}", number::ratio(comparison.ratio.median))
        }
        _ => String::new(),
    };
    let tied = match ties {
        [] => String::new(),
        ties => format!(" No difference shown to: {}.", names(ties)),
    };
    let rate = view
        .offered_rate
        .map(|rate| format!(" at {} requests/s", number::grouped(rate, 0)));
    Some(Finding::plain(
        format!("Least {}{}:", kind.main_figure().phrase(kind), rate.unwrap_or_default()),
        format!("{}, {amount}{beside}.{tied}", display_name(first)),
    ))
}

/// Names the leading servers and their workloads, most workloads first.
fn nearest_to_floor(views: &[View<'_>]) -> Option<Finding> {
    let mut places: Vec<(&str, Places<'_>)> = Vec::new();
    let mut total = 0;
    for view in views.iter().filter(|view| view.baseline.is_some()) {
        let leaders = leaders(view);
        let statement = leaders.first().map(|first| view.statement_to_baseline(first));
        if statement.is_none_or(|statement| statement.is_err()) {
            continue;
        }
        total += usize::from(!leaders.is_empty());
        for name in &leaders {
            if !places.iter().any(|(known, _)| known == name) {
                places.push((name, Places::default()));
            }
            let own = places.iter_mut().filter(|(known, _)| known == name);
            let is_shared = leaders.len() > 1;
            own.for_each(|(_, own)| own.push(&view.workload.name, is_shared));
        }
    }
    places.sort_by_key(|(_, places)| std::cmp::Reverse(places.count()));
    let of = |index| match index {
        0 => format!(" of {total} workloads"),
        _ => String::new(),
    };
    // A contender that only shares places is named without its workloads, which keeps the sentence short.
    let (leading, sharing): (Vec<_>, Vec<_>) = places
        .iter()
        .enumerate()
        .partition(|(index, (_, places))| *index == 0 || !places.alone.is_empty());
    let leading = leading.into_iter().map(|(index, (name, places))| {
        format!(
            "{} in {}{} ({})",
            display_name(name),
            places.count(),
            of(index),
            places.said()
        )
    });
    let mut said: Vec<String> = leading.collect();
    let sharing: Vec<&str> = sharing.into_iter().map(|(_, (name, _))| *name).collect();
    if !sharing.is_empty() {
        said.push(format!("in shared places {}", names(&sharing)));
    }
    (total > 0).then(|| Finding::plain("Nearest the floor:", format!("{}.", said.join("; "))))
}

/// The workloads that a contender leads, alone or shared.
#[derive(Debug, Default)]
struct Places<'a> {
    alone: Vec<&'a str>,
    shared: Vec<&'a str>,
}

impl<'a> Places<'a> {
    fn push(&mut self, workload: &'a str, is_shared: bool) {
        let places = if is_shared { &mut self.shared } else { &mut self.alone };
        places.push(workload);
    }

    fn count(&self) -> usize {
        self.alone.len() + self.shared.len()
    }

    fn said(&self) -> String {
        let shared = format!("shared: {}", self.shared.join(", "));
        let parts = [(self.alone.join(", "), &self.alone), (shared, &self.shared)];
        let parts = parts
            .into_iter()
            .filter(|(_, places)| !places.is_empty())
            .map(|(said, _)| said);
        parts.collect::<Vec<String>>().join(", ")
    }
}

/// States the range of Squall's ratios to the floor, then the workloads without a statement.
fn place_of_subject(views: &[View<'_>]) -> Vec<Finding> {
    let views = views
        .iter()
        .filter(|view| view.workload.kind != Kind::Idle && view.baseline != Some(SUBJECT));
    let (mut ratios, mut without_statement) = (Vec::new(), Vec::new());
    for view in views {
        let name = view.workload.name.as_str();
        match view.statement_to_baseline(SUBJECT) {
            Ok(comparison) => ratios.push((comparison.ratio.median, name)),
            Err(NoStatement::NotMeasured) => {}
            Err(why) => without_statement.push((name, why)),
        }
    }
    ratios.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut findings = Vec::new();
    if let (Some((least, best)), Some((most, worst))) = (ratios.first(), ratios.last()) {
        let [least, most] = [least, most].map(|ratio| number::ratio(*ratio));
        let said = match ratios.len() {
            1 => format!("takes {least} what the floor takes ({best})."),
            _ => format!("takes between {least} ({best}) and {most} ({worst}) what the floor takes."),
        };
        findings.push(Finding::plain(display_name(SUBJECT), said));
    }
    findings.extend(left_out("about the floor", &without_statement));
    findings
}

/// Lists the workloads without a statement, each with its reason.
fn left_out(what: &str, without_statement: &[(&str, NoStatement)]) -> Option<Finding> {
    let places = without_statement.iter().map(|(name, why)| format!("{name} ({why})"));
    let places: Vec<String> = places.collect();
    let rule = match without_statement
        .iter()
        .any(|(_, why)| matches!(why, NoStatement::Apart(_)))
    {
        true => format!(
            " A headline needs rounds within {} of each other.",
            number::ratio(APART_MAX)
        ),
        false => String::new(),
    };
    (!places.is_empty()).then(|| Finding::plain("No statement", format!("{what} for {}.{rule}", places.join(", "))))
}

/// States where Squall on io_uring and Squall on epoll win; empty unless both ran.
fn drivers(views: &[View<'_>]) -> Vec<Finding> {
    let (mut less, mut more, mut undecided) = (Vec::new(), Vec::new(), Vec::new());
    let mut without_statement = Vec::new();
    for view in views {
        let comparison = match view.statement(SUBJECT, RIVAL) {
            Ok(comparison) => comparison,
            Err(NoStatement::NotMeasured) => continue,
            Err(why) => {
                without_statement.push((view.workload.name.as_str(), why));
                continue;
            }
        };
        let kind = view.workload.kind;
        let ratio = number::ratio(comparison.ratio.median);
        let said = format!(
            "{} ({ratio} the {})",
            view.workload.name,
            kind.main_figure().phrase(kind)
        );
        match comparison {
            Comparison { tells_apart: false, .. } => undecided.push(said),
            Comparison { ratio, .. } if ratio.median < 1.0 => less.push(said),
            Comparison { .. } => more.push(said),
        }
    }
    let sentences = [
        (
            "io_uring wins against epoll,",
            "Squall on both, ranges apart, for ",
            less,
        ),
        ("io_uring loses to epoll,", "ranges apart, for ", more),
        (
            "No difference shown",
            "between the two, as their ranges overlap, for ",
            undecided,
        ),
    ];
    let said = sentences.into_iter().filter(|(_, _, places)| !places.is_empty());
    said.map(|(lead, start, places)| Finding::plain(lead, format!("{start}{}.", places.join(", "))))
        .chain(left_out("about io_uring and epoll", &without_statement))
        .collect()
}

fn drivers_in(view: &View<'_>) -> Option<Comparison> {
    view.compare(SUBJECT, RIVAL, view.workload.kind.main_figure())
}

/// States the highest sustained rates.
fn sustained(view: &View<'_>) -> Option<Finding> {
    let rates = view.contenders().map(|name| {
        let rate = view.sustained_rate(name);
        (name, rate.unwrap_or_default())
    });
    let mut rates: Vec<(&str, f64)> = rates.collect();
    rates.sort_by(|left, right| right.1.total_cmp(&left.1));
    let said = rates.iter().map(|(name, rate)| match rate {
        rate if *rate > 0.0 => format!("{name} {}", number::grouped(*rate, 0)),
        _ => format!("{name} none"),
    });
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| {
        Finding::plain(
            "Highest sustained rate, in requests/s:",
            format!("{}.", said.join(", ")),
        )
    })
}

/// Joins names for a sentence.
fn names(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().map(|name| display_name(name)).collect();
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, sample};

    fn texts(record: &Record) -> String {
        let said = of_record(record)
            .into_iter()
            .map(|finding| format!("{} {}", finding.lead, finding.text));
        said.collect::<Vec<String>>().join("\n")
    }

    /// Adds a contender with one window per round.
    fn add(record: &mut Record, name: &str, cpu: [f64; 2]) {
        let mut participant = record.contenders.first().cloned().unwrap();
        participant.name = name.to_owned();
        record.contenders.push(participant);
        record
            .samples
            .extend([sample(name, 1, cpu[0]), sample(name, 2, cpu[1])]);
    }

    #[test]
    fn leader_is_named_with_the_servers_that_tie() {
        let mut record = record();
        add(&mut record, "hyper", [5.0, 8.5]);
        add(&mut record, "axum", [50.0, 51.0]);
        let said = texts(&record);
        assert!(
            said.contains(
                "Nearest the floor: hyper in 1 of 1 workloads (shared: plaintext-64); in shared places Squall on \
                 io_uring."
            ),
            "{said}"
        );
        assert!(
            said.contains("Squall on io_uring takes 1.19× what the floor takes"),
            "{said}"
        );
        let workload = record.workloads.first().unwrap();
        let said = of_workload(&View::of(&record, workload));
        let said = &said.first().unwrap().text;
        assert!(said.contains("No difference shown to: Squall on io_uring."), "{said}");
    }

    /// A regression: headlines quoted a sweep of one round near saturation, and a workload whose rounds disagreed.
    #[test]
    fn headlines_name_only_workloads_that_support_a_statement() {
        let mut record = record();
        add(&mut record, RIVAL, [5.0, 9.5]);
        for (name, kind, figures) in [
            ("sweep", Kind::Sweep, &[1017.9][..]),
            ("rate-5k", Kind::Rate, &[0.19, 1.0, 900.0]),
            ("missed", Kind::Rate, &[50.0, 51.0]),
            ("failed", Kind::Capacity, &[70.0, 71.0]),
        ] {
            record.workloads.push(crate::record::tests::workload(name, kind));
            for (round, figure) in (1..).zip(figures) {
                for (contender, figure) in [("floor-epoll", 1.0), (SUBJECT, *figure), (RIVAL, 2.0)] {
                    let mut sample = sample(contender, round, figure);
                    sample.workload = name.to_owned();
                    sample.latency.as_mut().unwrap().p99_us = figure;
                    sample.offered_rate = (kind != Kind::Capacity).then_some(100_000.0);
                    sample.requests_per_second = if name == "missed" { 90_000.0 } else { 100_000.0 };
                    sample.errors = u64::from(name == "failed");
                    record.samples.push(sample);
                }
            }
        }
        let said = texts(&record);
        for sentence in [
            "Squall on io_uring takes 1.19× what the floor takes (plaintext-64).",
            "No statement about the floor for failed (wrong or lost answers), rate-5k (rounds from 0.19× to 900.00×), \
             missed (a server fell behind the rate), sweep (one round). A headline needs rounds within 1.50× of each \
             other.",
            "No statement about io_uring and epoll for ",
            " in 1 of 1 workloads (",
        ] {
            assert!(said.contains(sentence), "{said}");
        }
        assert!(!said.contains("1017") && !said.contains("loses to epoll"), "{said}");
    }

    #[test]
    fn drivers_win_only_when_their_ranges_are_apart() {
        for (epoll, start) in [
            (
                [5.5, 8.5],
                "No difference shown between the two, as their ranges overlap, for plaintext-64 (0.98× the CPU per \
                 request).",
            ),
            (
                [15.0, 18.0],
                "io_uring wins against epoll, Squall on both, ranges apart, for plaintext-64 (0.42× the CPU per \
                 request).",
            ),
            (
                [2.0, 3.0],
                "io_uring loses to epoll, ranges apart, for plaintext-64 (2.75× the CPU per request).",
            ),
        ] {
            let mut record = record();
            add(&mut record, RIVAL, epoll);
            let said = texts(&record);
            assert!(said.contains(start), "{said}");
        }
        assert!(!texts(&record()).contains("epoll"), "epoll did not run");
    }
}
