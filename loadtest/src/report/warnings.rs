//! Warnings about a record: its remarks, failures and noise.

use super::finding::Finding;
use super::number;
use crate::record::{Noise, Record, Sample, View};

/// Returns the record's remarks, and a warning about a single round.
pub(super) fn remarks(record: &Record) -> Vec<Finding> {
    let remarks = record
        .remarks
        .iter()
        .map(|remark| Finding::warning("Note:", sentence(remark)));
    let one_round = (record.rounds == 1).then(|| {
        let text = "Variation between rounds is unknown, so this run shows no difference between servers.";
        Finding::warning("One round:", text.to_owned())
    });
    remarks.chain(one_round).collect()
}

/// Makes a remark a sentence: a capital letter and a full stop.
fn sentence(remark: &str) -> String {
    let mut letters = remark.trim().chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let sentence: String = first.chain(letters).collect();
    match sentence.ends_with(['.', '!', '?']) {
        true => sentence,
        false => sentence + ".",
    }
}

/// Returns wrong answers, lost deliveries and closed connections.
pub(super) fn failures(views: &[View<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for view in views {
        for name in view.contenders() {
            findings.extend(failures_of(view, name));
        }
    }
    findings
}

fn failures_of(view: &View<'_>, name: &str) -> impl Iterator<Item = Finding> {
    let windows = || view.windows().iter().filter(|sample| sample.contender == name);
    let fan_out = || windows().filter_map(|sample| sample.fan_out);
    let held = windows().filter_map(|sample| sample.connections);
    let amounts: [(u64, &str); 4] = [
        (
            windows().map(|sample| sample.errors).sum(),
            "requests got a wrong answer or none",
        ),
        (fan_out().map(|fan_out| fan_out.lost).sum(), "deliveries never arrived"),
        (
            fan_out().map(|fan_out| fan_out.disordered).sum(),
            "deliveries were repeated or out of order",
        ),
        (
            held.map(|held| held.held.saturating_sub(held.still_open)).sum(),
            "idle connections were closed by the server",
        ),
    ];
    let lead = format!("{name} under {}:", view.workload.name);
    amounts
        .into_iter()
        .filter(|(amount, _)| *amount > 0)
        .map(move |(amount, what)| Finding::warning(&lead, format!("{} {what}.", number::grouped(amount as f64, 0))))
}

/// The share of disturbed windows above which a record is not worth keeping: medians of three rounds then rest on them.
const DISTURBED_SHARE_MAX: f64 = 0.02;

/// How many pairs of a workload and a contender the report names as disturbed.
const NAMED_MAX: usize = 3;

/// Returns the share of both cores that others took, and the windows in which it was too much.
pub(super) fn noise(record: &Record) -> Option<Finding> {
    let noises = || record.samples.iter().filter_map(|sample| sample.noise);
    noises().next()?;
    let [server, load, stolen] = [
        noises().map(|noise| noise.others_on_server_core).fold(0.0, f64::max),
        noises().map(|noise| noise.others_on_load_core).fold(0.0, f64::max),
        noises().map(|noise| noise.stolen).fold(0.0, f64::max),
    ];
    let worst = format!(
        "in the worst window, other processes took {:.0}\u{a0}% of the server's core and {:.0}\u{a0}% of the load's; \
         the hypervisor took {:.1}\u{a0}%.",
        server * 100.0,
        load * 100.0,
        stolen * 100.0
    );
    let is_disturbed = |sample: &&Sample| {
        sample
            .noise
            .is_some_and(|noise| noise.disturbance() > Noise::DISTURBANCE_MAX)
    };
    let disturbed: Vec<&Sample> = record.samples.iter().filter(is_disturbed).collect();
    if disturbed.is_empty() {
        return Some(Finding::plain("Noise:", worst));
    }
    let (windows, limit) = (noises().count(), Noise::DISTURBANCE_MAX * 100.0);
    let text = format!(
        "{worst} {} of {windows} windows lost more than {limit:.0}\u{a0}% of the server's core: {}.",
        disturbed.len(),
        names(&disturbed)
    );
    let advice = match disturbed.len() as f64 > windows as f64 * DISTURBED_SHARE_MAX {
        true => " Repeat the run on a quieter machine before you keep it.",
        false => "",
    };
    Some(Finding::warning("Noise:", text + advice))
}

/// Names the contenders and workloads of these windows, up to a bound.
fn names(windows: &[&Sample]) -> String {
    let mut pairs: Vec<String> = Vec::new();
    for window in windows {
        let pair = format!("{} under {}", window.contender, window.workload);
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    let more = pairs.len().saturating_sub(NAMED_MAX);
    pairs.truncate(NAMED_MAX);
    let named = pairs.join(", ");
    match more {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;
    use crate::record::{Connections, FanOut};

    #[test]
    fn failures_are_warnings() {
        let mut record = record();
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
        let workload = record.workloads.first().unwrap();
        let failures = failures(&[View::of(&record, workload)]);
        assert!(
            failures
                .iter()
                .all(|finding| finding.is_warning && finding.lead == "floor-epoll under plaintext-64:")
        );
        let texts: Vec<&str> = failures.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "1,200 requests got a wrong answer or none.",
                "3 deliveries never arrived.",
                "2 deliveries were repeated or out of order.",
                "1 idle connections were closed by the server.",
            ]
        );
    }

    #[test]
    fn noise_above_the_limit_is_a_warning() {
        let mut record = record();
        assert_eq!(noise(&record), None, "the record has no noise figures");
        for (server, load, stolen, is_warning) in [
            (0.02, 0.0, 0.0, false),
            (0.0, 0.6, 0.0, false),
            (0.2, 0.0, 0.0, true),
            (0.0, 0.0, 0.2, true),
        ] {
            record.samples.first_mut().unwrap().noise = Some(Noise {
                others_on_server_core: server,
                others_on_load_core: load,
                stolen,
            });
            let finding = noise(&record).unwrap();
            assert_eq!(finding.is_warning, is_warning);
            let is_named = finding
                .text
                .contains("1 of 1 windows lost more than 10\u{a0}% of the server's core: ");
            assert_eq!(is_named, is_warning, "{}", finding.text);
            assert_eq!(finding.text.contains("Repeat the run"), is_warning);
        }
    }

    #[test]
    fn one_disturbed_window_of_many_is_named_and_does_not_spoil_the_record() {
        let mut record = record();
        let mut quiet = record.samples.first().unwrap().clone();
        quiet.noise = Some(Noise {
            others_on_server_core: 0.0,
            others_on_load_core: 0.0,
            stolen: 0.0,
        });
        let mut disturbed = quiet.clone();
        disturbed.noise.as_mut().unwrap().stolen = 0.3;
        record.samples = vec![quiet; 99];
        record.samples.push(disturbed);
        let finding = noise(&record).unwrap();
        assert!(finding.is_warning);
        assert!(
            finding.text.ends_with(": floor-epoll under plaintext-64."),
            "{}",
            finding.text
        );
    }

    #[test]
    fn remarks_become_sentences_and_one_round_is_a_warning() {
        let mut record = record();
        record.remarks = vec!["a quick comparison".to_owned(), "It ended early.".to_owned()];
        record.rounds = 1;
        let texts: Vec<String> = remarks(&record).into_iter().map(|finding| finding.text).collect();
        assert_eq!(texts[..2], ["A quick comparison.", "It ended early."]);
        assert!(texts[2].starts_with("Variation between rounds is unknown"));
    }
}
