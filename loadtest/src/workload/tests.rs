//! Tests of workload files: parsing, errors, plans and record entries.

use std::time::Duration;

use super::*;
use crate::load::plan;
use crate::load::target::Scheme;

const CORES: Cores = Cores { server: 2, load: 3 };

const FORM: &str = r#"
    title = "Plain"
    quick_rounds_max = 1
    [load]
    kind = "capacity"
    path = "/plaintext"
    connections = 64
    [expect]
    status = 200
    content_type = "text/plain"
    body = "Hello"
"#;

const FAN_OUT: &str = r#"
    title = "Fan"
    [load]
    kind = "fan-out"
    subscribe_path = "/ws/sub"
    publish_path = "/ws/pub"
    subscribers = 100
    messages_per_second = 50
    burst = 10
    message_bytes = 64
"#;

/// Parses a workload of `kind` with these further lines in its load.
pub(crate) fn workload(kind: &str, lines: &str) -> Workload {
    let form = FORM
        .replace("connections = 64", lines)
        .replace("capacity", kind)
        .replace("title = \"Plain\"", &format!("title = 'of {kind}'"));
    Workload::parse(kind, &form).unwrap()
}

#[test]
fn file_is_read_whole() {
    let workload = Workload::parse("plain-64", FORM).unwrap();
    assert_eq!((workload.name.as_str(), workload.title.as_str()), ("plain-64", "Plain"));
    assert_eq!((workload.kind(), workload.connections()), (Kind::Capacity, 64));
    assert_eq!(workload.service(), Service::Http);
    assert_eq!([workload.rounds(5, false), workload.rounds(5, true)], [5, 1]);
    let heavy = Workload::parse("plain", &FORM.replace("quick_rounds_max = 1", "quick_rounds_max = 0")).unwrap();
    assert!(workload.is_quick() && !heavy.is_quick());
    assert_eq!(heavy.rounds(5, true), 1, "as it was asked for");
    assert_eq!(workload.expect.unwrap().content_type, "text/plain");
    let fan_out = Workload::parse("fan", FAN_OUT).unwrap();
    assert_eq!((fan_out.kind(), fan_out.connections()), (Kind::FanOut, 101));
    assert_eq!(fan_out.service(), Service::WebsocketFanOut);
    assert_eq!(fan_out.rounds(5, true), 5);
    let events = FAN_OUT.replace("subscribe_path", "subscribe = \"event-stream\"\nsubscribe_path");
    let events = Workload::parse("events", &events).unwrap();
    assert_eq!(events.service(), Service::EventStreamFanOut);
}

#[test]
fn mistakes_are_named() {
    for (form, from, to, mistake) in [
        (
            FORM,
            "connections = 64",
            "connections = 0",
            "connections must be between",
        ),
        (FORM, "connections = 64", "conections = 64", "conections"),
        (FORM, "connections = 64", "connections = 64\npipeline = 2", "pipeline"),
        (FORM, "\"/plaintext\"", "\"plaintext\"", "does not start with a slash"),
        (FORM, "capacity", "speed", "speed"),
        (FORM, "title =", "tilte =", "tilte"),
        (FORM, "[expect]", "[[expect]]", "expect"),
        (FORM, "body = ", "boddy = ", "boddy"),
        (FORM, "body = \"Hello\"", "", "either a body or a file"),
        (FORM, "body = ", "file = \"1k.bin\"\nbody = ", "either a body or a file"),
        (FORM, "body = \"Hello\"", "file = \"passwd\"", "passwd"),
        (FORM, "capacity\"", "pipelined\"\npipeline = 100000", "in flight"),
        (
            FORM,
            "capacity\"",
            "rate\"\nrequests_per_second = 0",
            "the rate must be",
        ),
        (FORM, "capacity\"", "sweep\"\nrates = []", "between 1 and 20 rates"),
        (FORM, "capacity\"", "sweep\"\nrates = [2, 1]", "rates must ascend"),
        (FAN_OUT, "\"/ws/pub\"", "\"pub\"", "path `pub` does not"),
        (FAN_OUT, "burst = 10", "burst = 0", "in flight"),
        (FAN_OUT, "burst = 10", "burst = 10\nsubscribe = \"pigeon\"", "pigeon"),
        (
            FAN_OUT,
            "message_bytes = 64",
            "message_bytes = 16\nsubscribe = \"event-stream\"",
            "32 bytes or more",
        ),
    ] {
        let error = Workload::parse("plain", &form.replace(from, to)).unwrap_err();
        assert!(format!("{error:#}").contains(mistake), "{mistake}: {error:#}");
    }
    let (before_expect, expect) = FORM.split_once("[expect]").unwrap();
    let error = Workload::parse("plain", before_expect).unwrap_err();
    assert!(error.to_string().contains("[expect] is missing"), "{error}");
    let error = Workload::parse("fan", &format!("{FAN_OUT}[expect]{expect}")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not apply to a WebSocket workload or a fan-out"),
        "{error}"
    );
}

#[test]
fn plans_follow_the_file() {
    let address = "127.0.0.1:8888".parse().unwrap();
    let timing = Timing {
        warmup: Duration::from_secs(1),
        window: Duration::from_secs(4),
    };
    let only = |workload: &Workload| workload.plans(address, CORES, timing).remove(0);
    let (rate, plan) = only(&workload("pipelined", "connections = 8\npipeline = 16"));
    assert_eq!((rate, plan.kind), (None, plan::Kind::ClosedLoop { pipeline: 16 }));
    assert_eq!(plan.target.to_string(), "http://127.0.0.1:8888/plaintext");
    assert_eq!((plan.connections, plan.cores), (8, vec![3]));
    assert_eq!((plan.warmup, plan.duration), (timing.warmup, timing.window));
    assert_eq!(plan.expect.body, Some(Content::Bytes(b"Hello".to_vec())));
    assert_eq!(only(&workload("latency", "")).1.connections, 1);
    let (_, hold) = only(&workload("idle", "connections = 8"));
    assert_eq!((hold.kind, hold.warmup), (plan::Kind::Hold, Duration::ZERO));
    let (_, fan_out) = only(&Workload::parse("fan", FAN_OUT).unwrap());
    assert_eq!(fan_out.connections, 100);
    assert!(matches!(fan_out.kind, plan::Kind::FanOut(fan_out) if fan_out.burst == 10));
    assert_eq!(fan_out.target.scheme, Scheme::WebSocket);
    let events = FAN_OUT.replace("/ws/sub\"", "/events\"\nsubscribe = \"event-stream\"");
    let (_, events) = only(&Workload::parse("events", &events).unwrap());
    assert_eq!(events.target.to_string(), "http://127.0.0.1:8888/events");
}

#[test]
fn transfers_end_with_their_number_of_requests() {
    let address = "127.0.0.1:8888".parse().unwrap();
    let only = |workload: &Workload| workload.plans(address, CORES, Timing::NOMINAL).remove(0).1;
    let form = FORM
        .replace("body = \"Hello\"", "file = \"100m.bin\"")
        .replace("connections = 64", "connections = 8\nrequests = 9");
    let form = form
        .replace("capacity", "download")
        .replace("title", "service = \"static-files\"\ntitle");
    let download = Workload::parse("download", &form).unwrap();
    assert_eq!(
        (download.kind(), download.service()),
        (Kind::Transfer, Service::StaticFiles)
    );
    assert_eq!(download.served_file(), Some(ServedFile::HundredMebibytes));
    let plan = only(&download);
    assert_eq!(
        (plan.connections, plan.requests, plan.warmup),
        (8, Some(9), Duration::ZERO)
    );
    assert_eq!(plan.expect.body, Some(Content::Filling(100 << 20)));
    let upload = workload("upload", "upload_bytes = 5\nrequests = 2");
    assert_eq!((upload.kind(), upload.connections()), (Kind::Transfer, 1));
    let plan = only(&upload);
    assert_eq!((plan.kind, plan.requests), (plan::Kind::Upload { bytes: 5 }, Some(2)));
    assert_eq!(plan.request.method, http::Method::POST);
}

#[test]
fn encoded_answers_are_accepted_by_the_request() {
    let form = FORM.replace("body = \"Hello\"", "file = \"page.html\"\ncoding = \"gzip\"");
    let workload = Workload::parse("page", &form).unwrap();
    let (_, plan) = workload
        .plans("127.0.0.1:8888".parse().unwrap(), CORES, Timing::NOMINAL)
        .remove(0);
    let accepted = plan
        .request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    assert_eq!(accepted.collect::<Vec<_>>(), [("accept-encoding", "gzip")]);
    assert_eq!(plan.expect.body, None, "the verification decodes it");
}

#[test]
fn sweep_is_one_plan_for_each_rate() {
    let sweep = workload("sweep", "connections = 8\nrates = [1000, 2000.5]");
    assert_eq!(sweep.load_length(Timing::NOMINAL), Duration::from_secs(2));
    let plans = sweep.plans("127.0.0.1:8888".parse().unwrap(), CORES, Timing::NOMINAL);
    let rates: Vec<Option<f64>> = plans.iter().map(|(rate, _)| *rate).collect();
    assert_eq!(rates, [Some(1000.0), Some(2000.5)]);
    let last = plans.last().map(|(_, plan)| plan.kind.clone());
    assert_eq!(
        last,
        Some(plan::Kind::OpenLoop {
            rate: 2000.5,
            pipeline: 1
        })
    );
}

#[test]
fn record_lists_the_parameters() {
    let recorded = workload("sweep", "connections = 8\nrates = [1000, 2000]").recorded(CORES, Timing::NOMINAL);
    assert_eq!((recorded.name.as_str(), recorded.title.as_str()), ("sweep", "of sweep"));
    assert_eq!(recorded.kind, Kind::Sweep);
    assert_eq!(recorded.parameters["requests_per_second"], "1000, 2000");
    assert_eq!(recorded.parameters["connections"], "8");
    let recorded = Workload::parse("fan", FAN_OUT)
        .unwrap()
        .recorded(CORES, Timing::NOMINAL);
    assert_eq!(recorded.parameters["publish_path"], "/ws/pub");
}
