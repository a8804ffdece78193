//! Warnings about a record: its remarks, failures and noise.

use super::finding::Finding;
use super::number;
use crate::record::{Noise, Record, View};

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

/// Returns the share of both cores that others took.
pub(super) fn noise(record: &Record) -> Option<Finding> {
    let noises = || record.samples.iter().filter_map(|sample| sample.noise);
    noises().next()?;
    let [server, load, stolen] = [
        noises().map(|noise| noise.others_on_server_core).fold(0.0, f64::max),
        noises().map(|noise| noise.others_on_load_core).fold(0.0, f64::max),
        noises().map(|noise| noise.stolen).fold(0.0, f64::max),
    ];
    let text = format!(
        "in the worst window, other processes took {:.0}\u{a0}% of the server's core and {:.0}\u{a0}% of the load's; \
         the hypervisor took {:.1}\u{a0}%.",
        server * 100.0,
        load * 100.0,
        stolen * 100.0
    );
    let is_noisy = noises().any(|noise| noise.disturbance() > Noise::DISTURBANCE_MAX);
    Some(match is_noisy {
        true => Finding::warning(
            "Noise:",
            format!("{text} Repeat the run on a quieter machine before you keep it."),
        ),
        false => Finding::plain("Noise:", text),
    })
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
            assert_eq!(noise(&record).unwrap().is_warning, is_warning);
        }
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
