//! What a record says, in sentences that are computed and not composed: who is nearest the floor, where io_uring and epoll win, what went wrong.
//!
//! Nobody is said to be ahead of somebody whose range overlaps with theirs.

use super::number;
use super::palette::{RIVAL, SUBJECT, spoken};
use crate::record::{Comparison, Kind, Record, Role, View};

/// A sentence or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) text: String,
    /// Whether it says that something is amiss with the run or with a server.
    pub(super) is_warning: bool,
}

impl Finding {
    fn plain(text: String) -> Self {
        Self {
            text,
            is_warning: false,
        }
    }

    fn warning(text: String) -> Self {
        Self { text, is_warning: true }
    }
}

/// The share of the server's core that others may take before a run is called noisy.
const NOISE_MAX: f64 = 0.1;

/// What the whole record says.
pub(super) fn of_record(record: &Record) -> Vec<Finding> {
    let views: Vec<View<'_>> = record
        .workloads
        .iter()
        .map(|workload| View::of(record, workload))
        .collect();
    let mut findings = vec![];
    findings.extend(nearest_to_floor(&views).map(Finding::plain));
    findings.extend(place_of_subject(&views).map(Finding::plain));
    findings.extend(drivers(&views).into_iter().map(Finding::plain));
    findings.extend(record.remarks.iter().cloned().map(Finding::warning));
    findings.extend(failures(&views).map(Finding::warning));
    if record.rounds == 1 {
        let text =
            "There was one round, so nothing tells how far a second one would lie; no two servers are told apart.";
        findings.push(Finding::warning(text.to_owned()));
    }
    findings.extend(noise(record));
    findings
}

/// What one workload says.
pub(super) fn of_workload(view: &View<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(leader(view).map(Finding::plain));
    if view.workload.kind == Kind::Sweep {
        findings.extend(sustained(view).map(Finding::plain));
    }
    if let Some(comparison) = drivers_in(view) {
        let outcome = match comparison {
            Comparison { tells_apart: false, .. } => "no difference shown, their ranges overlap".to_owned(),
            Comparison { ratio, .. } if ratio.median < 1.0 => "io_uring takes less".to_owned(),
            Comparison { .. } => "epoll takes less".to_owned(),
        };
        findings.push(Finding::plain(format!(
            "Squall on io_uring takes {} what it takes on epoll ({}): {outcome}.",
            number::ratio(comparison.ratio.median),
            number::ratio_range(comparison.ratio),
        )));
    }
    findings.extend(failures(std::slice::from_ref(view)).map(Finding::warning));
    findings
}

/// The servers that nobody is shown to be ahead of: the one with the least, and those whose ranges overlap with its own.
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

fn leader(view: &View<'_>) -> Option<String> {
    let kind = view.workload.kind;
    let leaders = leaders(view);
    let (first, ties) = leaders.split_first()?;
    let spread = view.spread(first, kind.main_figure())?;
    let decimals = number::decimals_of(kind.main_figure(), spread.median);
    let unit = if kind == Kind::Idle { "KiB" } else { "µs" };
    let amount = format!("{} {unit}", number::grouped(spread.median, decimals));
    let beside = match (view.baseline, view.to_baseline(first)) {
        (Some(baseline), Some(ratio)) if kind != Kind::Idle => {
            format!(", {} that of {baseline}", number::ratio(ratio.ratio.median))
        }
        _ => String::new(),
    };
    let at = view
        .offered_rate
        .map(|rate| format!(" at {} requests/s", number::grouped(rate, 0)))
        .unwrap_or_default();
    let phrase = kind.main_figure().phrase(kind);
    let tied = match ties {
        [] => String::new(),
        ties => format!(" Not told apart from it: {}.", names(ties)),
    };
    Some(format!(
        "Least {phrase}{at} of all servers: {}, with {amount}{beside}.{tied}",
        spoken(first)
    ))
}

/// Who leads where, counted.
fn nearest_to_floor(views: &[View<'_>]) -> Option<String> {
    let against_floor: Vec<&View<'_>> = views
        .iter()
        .filter(|view| view.baseline.is_some() && !leaders(view).is_empty())
        .collect();
    let mut counted: Vec<(&str, Vec<String>)> = Vec::new();
    for view in &against_floor {
        for name in leaders(view) {
            let tied = if leaders(view).len() > 1 { ", shared" } else { "" };
            let place = format!("{}{tied}", view.workload.name);
            match counted.iter_mut().find(|(counted, _)| *counted == name) {
                Some((_, places)) => places.push(place),
                None => counted.push((name, vec![place])),
            }
        }
    }
    counted.sort_by_key(|(_, places)| std::cmp::Reverse(places.len()));
    let shown: Vec<String> = counted
        .iter()
        .map(|(name, places)| format!("{} in {} ({})", spoken(name), places.len(), places.join("; ")))
        .collect();
    let total = against_floor.len();
    (total > 0).then(|| format!("Nearest the floor, of {total} workloads: {}.", shown.join(", ")))
}

/// Between what ratios Squall lies, and where.
fn place_of_subject(views: &[View<'_>]) -> Option<String> {
    let ratios = views
        .iter()
        .filter(|view| view.workload.kind != Kind::Idle && view.baseline != Some(SUBJECT));
    let mut ratios: Vec<(f64, &str)> = ratios
        .filter_map(|view| Some((view.to_baseline(SUBJECT)?.ratio.median, view.workload.name.as_str())))
        .collect();
    ratios.sort_by(|left, right| left.0.total_cmp(&right.0));
    let ((least, best), (most, worst)) = (ratios.first()?, ratios.last()?);
    if ratios.len() == 1 {
        return Some(format!(
            "{} takes {} what the floor takes ({best}).",
            spoken(SUBJECT),
            number::ratio(*least)
        ));
    }
    Some(format!(
        "{} takes between {} ({best}) and {} ({worst}) what the floor takes.",
        spoken(SUBJECT),
        number::ratio(*least),
        number::ratio(*most)
    ))
}

/// Where Squall on io_uring and Squall on epoll win; nothing unless both ran.
fn drivers(views: &[View<'_>]) -> Vec<String> {
    let (mut less, mut more, mut undecided) = (Vec::new(), Vec::new(), Vec::new());
    for view in views {
        let Some(comparison) = drivers_in(view) else { continue };
        let kind = view.workload.kind;
        let said = format!(
            "{} ({} {}, {})",
            view.workload.name,
            kind.main_figure().phrase(kind),
            number::ratio(comparison.ratio.median),
            number::ratio_range(comparison.ratio)
        );
        match comparison {
            Comparison { tells_apart: false, .. } => undecided.push(said),
            Comparison { ratio, .. } if ratio.median < 1.0 => less.push(said),
            Comparison { .. } => more.push(said),
        }
    }
    let sentences = [
        ("io_uring wins against epoll, Squall against Squall: ", less),
        ("epoll wins against io_uring: ", more),
        ("No difference shown between the two, their ranges overlap: ", undecided),
    ];
    let said = sentences.into_iter().filter(|(_, places)| !places.is_empty());
    said.map(|(start, places)| format!("{start}{}.", places.join("; ")))
        .collect()
}

fn drivers_in(view: &View<'_>) -> Option<Comparison> {
    view.compare(SUBJECT, RIVAL, view.workload.kind.main_figure())
}

/// The highest rates that were kept up with.
fn sustained(view: &View<'_>) -> Option<String> {
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
    (!said.is_empty()).then(|| format!("Highest rate kept up with, in requests/s: {}.", said.join(", ")))
}

/// Wrong answers and deliveries that never came.
fn failures<'a>(views: &'a [View<'a>]) -> impl Iterator<Item = String> + 'a {
    views.iter().flat_map(|view| {
        view.contenders().flat_map(move |name| {
            let windows = || view.windows().iter().filter(move |sample| sample.contender == name);
            let errors: u64 = windows().map(|sample| sample.errors).sum();
            let fan_out = || windows().filter_map(|sample| sample.fan_out);
            let lost: u64 = fan_out().map(|fan_out| fan_out.lost).sum();
            let disordered: u64 = fan_out().map(|fan_out| fan_out.disordered).sum();
            let closed: u64 = windows()
                .filter_map(|sample| sample.connections)
                .map(|held| held.held - held.still_open)
                .sum();
            let workload = &view.workload.name;
            let amounts = [
                (errors, "requests got a wrong answer or none"),
                (lost, "deliveries never came"),
                (disordered, "deliveries came twice or out of order"),
                (closed, "idle connections were closed"),
            ];
            let amounts = amounts.into_iter().filter(|(amount, _)| *amount > 0);
            amounts.map(move |(amount, what)| {
                format!("{name} under {workload}: {} {what}.", number::grouped(amount as f64, 0))
            })
        })
    })
}

/// What else used the two cores.
fn noise(record: &Record) -> Option<Finding> {
    let noises = || record.samples.iter().filter_map(|sample| sample.noise);
    noises().next()?;
    let [server, load, stolen] = [
        noises().map(|noise| noise.others_on_server_core).fold(0.0, f64::max),
        noises().map(|noise| noise.others_on_load_core).fold(0.0, f64::max),
        noises().map(|noise| noise.stolen).fold(0.0, f64::max),
    ];
    let text = format!(
        "Noise, worst window: others took {:.0} % of the server's core and {:.0} % of the load's, the hypervisor {:.1} %.",
        server * 100.0,
        load * 100.0,
        stolen * 100.0
    );
    let is_noisy = server.max(load).max(stolen) > NOISE_MAX;
    Some(match is_noisy {
        true => Finding::warning(format!("{text} That is too much for a run worth keeping.")),
        false => Finding::plain(text),
    })
}

/// Names as a sentence lists them.
fn names(names: &[&str]) -> String {
    let spoken: Vec<String> = names.iter().map(|name| spoken(name)).collect();
    match spoken.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, sample};
    use crate::record::{Connections, FanOut, Noise};

    fn texts(record: &Record) -> String {
        let texts: Vec<String> = of_record(record).into_iter().map(|finding| finding.text).collect();
        texts.join("\n")
    }

    /// Adds a contender with one window a round.
    fn add(record: &mut Record, name: &str, cpu: [f64; 2]) {
        let mut participant = record.contenders.first().cloned().unwrap();
        participant.name = name.to_owned();
        record.contenders.push(participant);
        record
            .samples
            .extend([sample(name, 1, cpu[0]), sample(name, 2, cpu[1])]);
    }

    #[test]
    fn leader_is_named_with_those_it_cannot_be_told_apart_from() {
        let mut record = record();
        add(&mut record, "hyper", [6.0, 7.0]);
        add(&mut record, "axum", [50.0, 51.0]);
        let said = texts(&record);
        assert!(
            said.contains(
                "of 1 workloads: hyper in 1 (plaintext-64, shared), Squall on io_uring in 1 (plaintext-64, shared)."
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
        assert!(said.contains("Not told apart from it: Squall on io_uring."), "{said}");
    }

    #[test]
    fn drivers_win_only_when_their_ranges_are_apart() {
        for (epoll, start) in [
            (
                [5.5, 8.5],
                "No difference shown between the two, their ranges overlap: plaintext-64 (CPU per request",
            ),
            (
                [15.0, 18.0],
                "io_uring wins against epoll, Squall against Squall: plaintext-64 (CPU per request 0.42×, 0.33–0.50×)",
            ),
            ([2.0, 3.0], "epoll wins against io_uring: plaintext-64"),
        ] {
            let mut record = record();
            add(&mut record, RIVAL, epoll);
            let said = texts(&record);
            assert!(said.contains(start), "{said}");
        }
        assert!(!texts(&record()).contains("epoll wins"), "epoll did not run");
    }

    #[test]
    fn what_went_wrong_is_a_warning() {
        let mut record = record();
        record.remarks.push("The run was interrupted.".to_owned());
        let sample = record.samples.first_mut().unwrap();
        sample.errors = 1200;
        sample.fan_out = Some(FanOut {
            subscribers: 1,
            published: 10,
            delivered: 7,
            lost: 3,
            disordered: 2,
        });
        sample.connections = Some(Connections {
            held: 10,
            still_open: 9,
            empty_resident_kib: 1,
            proportional_kib_each: 1.0,
            private_kib_each: 1.0,
            resident_kib_each: 1.0,
        });
        sample.noise = Some(Noise {
            others_on_server_core: 0.2,
            others_on_load_core: 0.0,
            stolen: 0.0,
        });
        let warnings: Vec<String> = of_record(&record)
            .into_iter()
            .filter(|finding| finding.is_warning)
            .map(|finding| finding.text)
            .collect();
        assert_eq!(
            warnings,
            [
                "The run was interrupted.",
                "floor-epoll under plaintext-64: 1,200 requests got a wrong answer or none.",
                "floor-epoll under plaintext-64: 3 deliveries never came.",
                "floor-epoll under plaintext-64: 2 deliveries came twice or out of order.",
                "floor-epoll under plaintext-64: 1 idle connections were closed.",
                "Noise, worst window: others took 20 % of the server's core and 0 % of the load's, the hypervisor 0.0 %. \
                 That is too much for a run worth keeping.",
            ]
        );
    }

    #[test]
    fn one_round_tells_nobody_apart() {
        let mut record = record();
        record.rounds = 1;
        record.samples.truncate(2);
        add(&mut record, RIVAL, [50.0, 60.0]);
        record.samples.pop();
        let said = texts(&record);
        assert!(
            said.contains("There was one round") && said.contains("No difference shown"),
            "{said}"
        );
    }
}
