//! Tests of records: reading, writing and the checks.

use super::*;

/// Two contenders under one workload in two rounds.
pub(crate) fn record() -> Record {
    let participant = |name: &str| Participant {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        note: "as documented".to_owned(),
        build_command: Vec::new(),
        command: vec![name.to_owned(), "{listen}".to_owned()],
    };
    Record {
        version: VERSION,
        title: "Side by side".to_owned(),
        remarks: Vec::new(),
        command: "squall-loadtest compare".to_owned(),
        date: "Mon, 23 Nov 2026 10:34:17 GMT".to_owned(),
        machine: Machine::default(),
        cores: Cores {
            server: vec![0],
            load: vec![1],
        },
        rounds: 2,
        window_seconds: 4.0,
        warmup_seconds: 1.0,
        baseline: "floor-epoll".to_owned(),
        workloads: vec![workload("plaintext-64", Kind::Capacity)],
        contenders: vec![participant("squall"), participant("floor-epoll")],
        skipped: Vec::new(),
        samples: vec![
            sample("floor-epoll", 1, 4.0),
            sample("squall", 1, 5.0),
            sample("floor-epoll", 2, 8.0),
            sample("squall", 2, 9.0),
        ],
    }
}

pub(crate) fn workload(name: &str, kind: Kind) -> Workload {
    Workload {
        name: name.to_owned(),
        title: "The title".to_owned(),
        kind,
        parameters: [("connections".to_owned(), "64".to_owned())].into(),
        command: None,
    }
}

/// A window under `plaintext-64` in which a request took `cpu` µs, 1 of them in user mode.
pub(crate) fn sample(contender: &str, round: u32, cpu: f64) -> Sample {
    Sample {
        workload: "plaintext-64".to_owned(),
        contender: contender.to_owned(),
        round,
        requests: 400_000,
        requests_per_second: 100_000.0,
        cpu_per_request: Some(CpuPerRequest {
            user_us: 1.0,
            system_us: cpu - 1.0,
        }),
        latency: Some(Latency {
            p50_us: 10.0,
            p90_us: 20.0,
            p99_us: 30.0,
            ..Latency::default()
        }),
        ..Sample::default()
    }
}

/// The first sample of a record.
fn first(record: &mut Record) -> &mut Sample {
    record.samples.first_mut().unwrap()
}

#[test]
fn record_reads_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    record().write(&path).unwrap();
    assert_eq!(Record::read(&path).unwrap(), record());
}

#[test]
fn contradicting_record_is_written_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let mut record = record();
    record.baseline = "unknown".to_owned();
    let error = format!("{:#}", record.write(&path).unwrap_err());
    assert!(
        error.contains("was written, but contradicts itself: the baseline"),
        "{error}"
    );
    assert!(path.metadata().unwrap().len() > 1000, "what was measured is kept");
    assert!(Record::read(&path).is_err());
}

#[test]
fn other_versions_and_other_files_are_named() {
    for (text, reason) in [
        ("{", "not JSON"),
        ("{}", "it has no `version`"),
        (r#"{"version": 2, "what": "later"}"#, "record of version 2"),
        (r#"{"version": 1}"#, "not a record of a comparison"),
    ] {
        let error = Record::parse(text.as_bytes()).unwrap_err();
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    }
    let error = Record::read(Path::new("no/such/record.json")).unwrap_err();
    assert!(format!("{error:#}").contains("no/such/record.json"), "{error:#}");
}

/// Makes a record contradict itself.
type Corrupt = fn(&mut Record);

fn assert_refused(corruptions: &[(Corrupt, &str)]) {
    assert!(record().check().is_ok());
    for (corrupt, reason) in corruptions {
        let mut corrupted = record();
        corrupt(&mut corrupted);
        let error = corrupted.check().unwrap_err();
        assert!(format!("{error:#}").contains(reason), "{reason}: {error:#}");
    }
}

#[test]
fn unknown_names_are_rejected() {
    assert_refused(&[
        (
            |record| record.baseline = "unknown".to_owned(),
            "the baseline `unknown` is not among the contenders",
        ),
        (|record| record.rounds = 1, "only 1 rounds"),
        (|record| record.rounds = 0, "rounds is 0"),
        (
            |record| first(record).contender = "unknown".to_owned(),
            "the contender did not take part",
        ),
        (
            |record| first(record).workload = "nothing".to_owned(),
            "the workload is unknown",
        ),
        (
            |record| first(record).contender = "squall".to_owned(),
            "squall under plaintext-64, round 1, was measured twice",
        ),
        (
            |record| record.skipped = vec![skipped("squall", None)],
            "squall both took part and was skipped",
        ),
        (
            |record| record.skipped = vec![skipped("squall", Some("nothing"))],
            "squall was skipped under the unknown workload `nothing`",
        ),
    ]);
}

#[test]
fn impossible_figures_are_rejected() {
    assert_refused(&[
        (
            |record| first(record).requests_per_second = -1.0,
            "requests_per_second is -1",
        ),
        (
            |record| first(record).latency.as_mut().unwrap().p99_us = 15.0,
            "a higher percentile of latency is lower: 15 µs after 20 µs",
        ),
        (
            |record| {
                first(record).latency.as_mut().unwrap().curve = [(50.0, 2.0), (90.0, 1.0)]
                    .map(|(percentile, us)| Point { percentile, us })
                    .into();
            },
            "the latency curve falls at percentile 90",
        ),
        (
            |record| record.workloads = vec![workload("plaintext-64", Kind::Pipelined)],
            "a pipelined workload must not have a latency",
        ),
        (
            |record| record.workloads = vec![workload("plaintext-64", Kind::Sweep)],
            "an open loop needs an offered rate",
        ),
        (
            |record| {
                record.workloads = vec![workload("plaintext-64", Kind::FanOut)];
                first(record).fan_out = Some(FanOut {
                    subscribers: 10,
                    published: 10,
                    delivered: 100,
                    lost: 1,
                    disordered: 0,
                });
            },
            "101 deliveries arrived or were lost, but only 100 were due",
        ),
    ]);
}

/// A server that dies in a later round has samples of the earlier ones.
#[test]
fn contender_may_be_skipped_after_it_was_measured() {
    let mut record = record();
    record.skipped = vec![skipped("squall", Some("plaintext-64"))];
    assert!(record.check().is_ok());
}

fn skipped(name: &str, workload: Option<&str>) -> SkippedContender {
    SkippedContender {
        name: name.to_owned(),
        workload: workload.map(str::to_owned),
        reason: "not installed".to_owned(),
        hint: None,
    }
}
