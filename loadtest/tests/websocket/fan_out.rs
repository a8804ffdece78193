//! Fan-out to WebSockets: deliveries are counted exactly; lost, repeated, swapped and changed messages are detected.

use std::sync::mpsc;

use serde_json::Value;

use crate::server::{Delivery, Topic};
use crate::support::command::{Ended, HANG, RunningCommand, run, start};

const SUBSCRIBERS: u64 = 3;

/// Publishes to three subscribers for 300 ms.
fn fan_out(topic: &Topic, arguments: &[&str]) -> Ended {
    start_fan_out(topic, arguments).end()
}

fn start_fan_out(topic: &Topic, arguments: &[&str]) -> RunningCommand {
    let (subscribe, publish) = (
        format!("ws://{}/ws/sub", topic.address),
        format!("ws://{}/ws/pub", topic.address),
    );
    let mut all = vec![subscribe.as_str(), "--publish", publish.as_str(), "-c", "3", "--json"];
    for [flag, value] in [["--duration", "300ms"], ["--warmup", "0"], ["--timeout", "2s"]] {
        if !arguments.contains(&flag) {
            all.extend([flag, value]);
        }
    }
    all.extend(arguments);
    start(&all)
}

/// Sums the first-time deliveries.
fn delivered(outcome: &Value) -> u64 {
    let counts = ["requests", "warmup_requests", "late_requests"];
    counts.iter().map(|name| outcome[name].as_u64().unwrap()).sum()
}

fn figure(outcome: &Value, name: &str) -> u64 {
    outcome["fan_out"][name].as_u64().unwrap()
}

#[test]
fn every_delivery_is_counted_once() {
    for arguments in [
        &["--rate", "200"][..],
        &["--rate", "200", "--burst", "10", "--message-bytes", "16"],
        &["--burst", "4"],
        &["--rate", "200", "--warmup", "100ms", "--threads", "2"],
        &["--threads", "3"],
        &["--rate", "100", "--stalled", "2"],
    ] {
        let topic = Topic::start(|_, _| Delivery::Once);
        let ended = fan_out(&topic, arguments);
        assert!(ended.status.success(), "{arguments:?}: {ended:?}");
        let outcome = ended.outcome();
        assert_eq!(figure(&outcome, "published"), topic.published(), "{arguments:?}");
        assert_eq!(delivered(&outcome), SUBSCRIBERS * topic.published(), "{arguments:?}");
        assert_eq!(figure(&outcome, "lost"), 0, "{arguments:?}");
        assert!(
            outcome["latency"]["count"].as_u64() > Some(0),
            "{arguments:?}: {outcome}"
        );
    }
}

/// The index of the stalled subscriber.
const STALLED: usize = 3;

/// Runs with one stalled subscriber that receives messages as `delivery_of` says.
fn stall(delivery_of: impl Fn(u64) -> Delivery + Send + Sync + 'static) -> Value {
    let topic = Topic::start(move |index, number| match index {
        STALLED => delivery_of(number),
        _ => Delivery::Once,
    });
    let ended = fan_out(
        &topic,
        &["--rate", "100", "--stalled", "1", "--statistics", "/ws/statistics"],
    );
    assert!(ended.status.success(), "the other subscribers are served: {ended:?}");
    let outcome = ended.outcome();
    assert_eq!(figure(&outcome, "published"), 30);
    assert_eq!(figure(&outcome, "lost"), 0);
    assert_eq!(
        delivered(&outcome),
        SUBSCRIBERS * 30,
        "the deliveries exclude the stalled subscriber"
    );
    outcome["fan_out"]["stalled"].clone()
}

#[test]
fn stalled_subscriber_accounts_for_every_message() {
    let counts = ["received", "told", "closed", "unaccounted", "counted_by_server"];
    let counted = |stalled: Value| counts.map(|name| stalled[name].as_u64().unwrap());
    let all = stall(|_| Delivery::Once);
    assert_eq!(all["subscribers"], 1);
    assert_eq!(counted(all), [30, 0, 0, 0, 0]);
    let told = stall(|number| match number {
        10..15 => Delivery::Never,
        15 => Delivery::AfterNotice(5),
        _ => Delivery::Once,
    });
    assert_eq!(counted(told), [25, 5, 0, 0, 5]);
    let silent = stall(|number| match number {
        10..15 => Delivery::Never,
        _ => Delivery::Once,
    });
    assert_eq!(counted(silent), [25, 0, 0, 5, 0]);
    let closed = stall(|number| match number {
        10.. => Delivery::Close,
        _ => Delivery::Once,
    });
    assert_eq!(counted(closed), [9, 0, 1, 0, 0]);
}

#[test]
fn latencies_are_reported_for_each_connecting_core() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let core = allowed.unwrap().trim().split([',', '-']).next().unwrap();
    let topic = Topic::start(|_, _| Delivery::Once);
    let cores = format!("{core},{core}");
    let outcome = fan_out(&topic, &["--rate", "100", "--connect-cores", &cores]).outcome();
    let by_core = outcome["fan_out"]["by_core"].as_array().unwrap();
    let counts: Vec<u64> = by_core
        .iter()
        .map(|core| core["latency"]["count"].as_u64().unwrap())
        .collect();
    assert_eq!(
        counts,
        [60, 30],
        "two of the three subscribers connected from the first core: {outcome}"
    );
}

#[test]
fn rate_and_bursts_are_kept() {
    for (rate, burst, published) in [("100", "1", 30), ("100", "10", 30), ("100", "20", 40)] {
        let topic = Topic::start(|_, _| Delivery::Once);
        let outcome = fan_out(&topic, &["--rate", rate, "--burst", burst]).outcome();
        assert_eq!(figure(&outcome, "published"), published, "{rate}/s by {burst}");
        assert_eq!(outcome["elapsed_seconds"], 0.3, "{rate}/s by {burst}");
        assert!(outcome["fan_out"]["publisher_lag"].is_object(), "{outcome}");
    }
}

#[test]
fn faults_of_a_server_are_counted() {
    for (delivery_of, lost, duplicated, out_of_order) in [
        (Delivery::Never, 1, 0, 0),
        (Delivery::Twice, 0, 1, 0),
        (Delivery::AfterNext, 0, 0, 1),
    ] {
        let topic = Topic::start(move |index, number| {
            if (index, number) == (1, 5) {
                delivery_of
            } else {
                Delivery::Once
            }
        });
        let ended = fan_out(&topic, &["--rate", "100"]);
        ended.assert_failed_because(&format!(
            "{lost} lost, {duplicated} duplicated, {out_of_order} out of order"
        ));
        let outcome = ended.outcome();
        let counted = ["lost", "duplicated", "out_of_order"].map(|name| figure(&outcome, name));
        assert_eq!(counted, [lost, duplicated, out_of_order], "{delivery_of:?}");
        assert_eq!(
            delivered(&outcome) + lost,
            SUBSCRIBERS * topic.published(),
            "{delivery_of:?}"
        );
    }
}

#[test]
fn last_messages_are_awaited_until_the_timeout() {
    let topic = Topic::start(|index, number| {
        if index == 2 && number > 27 {
            Delivery::Never
        } else {
            Delivery::Once
        }
    });
    let ended = fan_out(&topic, &["--rate", "100", "--timeout", "300ms"]);
    ended.assert_failed_because("3 lost, 0 duplicated");
    assert_eq!(figure(&ended.outcome(), "published"), 30);
}

#[test]
fn loss_ends_a_closed_loop() {
    let topic = Topic::start(|index, number| {
        if index == 0 && number == 4 {
            Delivery::Never
        } else {
            Delivery::Once
        }
    });
    let ended = fan_out(&topic, &["--duration", "20s", "--timeout", "300ms"]);
    ended.assert_failed_because("1 lost, 0 duplicated");
    assert_eq!(figure(&ended.outcome(), "published"), 4);
}

#[test]
fn closed_subscriber_is_a_failure_and_the_others_go_on() {
    let topic = Topic::start(|index, number| {
        if index == 0 && number >= 4 {
            Delivery::Close
        } else {
            Delivery::Once
        }
    });
    let ended = fan_out(&topic, &["--rate", "100"]);
    ended.assert_failed_because("1 closed early");
    let outcome = ended.outcome();
    let published = figure(&outcome, "published");
    assert_eq!((published, figure(&outcome, "lost")), (30, 27));
    assert_eq!(delivered(&outcome), 2 * published + 3);
}

#[test]
fn changed_message_and_invalid_frame_are_failures() {
    for (delivery_of, reason) in [
        (Delivery::Changed, "1 connections failed: 1 wrong body"),
        (Delivery::Forbidden, "1 connections failed: 1 malformed"),
    ] {
        let topic = Topic::start(move |index, number| {
            if (index, number) == (1, 5) {
                delivery_of
            } else {
                Delivery::Once
            }
        });
        fan_out(&topic, &["--rate", "100"]).assert_failed_because(reason);
    }
}

#[test]
fn closed_publisher_ends_the_run() {
    let topic = Topic::start(|_, number| {
        if number == 5 {
            Delivery::ClosePublisher
        } else {
            Delivery::Once
        }
    });
    let ended = fan_out(&topic, &["--rate", "100", "--duration", "60m"]);
    // Closed early, or reset if the publisher was writing.
    ended.assert_failed_because("1 connections failed");
    assert_eq!(topic.published(), 5);
}

#[test]
fn topic_without_deliveries_is_named_before_the_load() {
    let topic = Topic::start(|_, _| Delivery::Once);
    let (subscribe, publish) = (
        format!("ws://{}/ws/elsewhere", topic.address),
        format!("ws://{}/ws/pub", topic.address),
    );
    let ended = run(&[&subscribe, "--publish", &publish, "-c", "2", "--timeout", "1s"]);
    ended.assert_failed_because("does not reach subscriber 1 of 1");
    assert_eq!(topic.published(), 0);
}

#[test]
fn interrupted_run_prints_what_was_measured() {
    for pace in [&["--rate", "100"][..], &["--burst", "2"]] {
        let (published, numbers) = mpsc::channel();
        let topic = Topic::start(move |_, number| {
            published.send(number).ok();
            Delivery::Once
        });
        let running = start_fan_out(&topic, &[pace, &["--duration", "60m"]].concat());
        while numbers.recv_timeout(HANG).unwrap() < 10 {}
        running.interrupt();
        let ended = running.end();
        assert_eq!(ended.status.code(), Some(130), "{ended:?}");
        let outcome = ended.outcome();
        assert_eq!(outcome["interrupted"], true);
        assert_eq!(figure(&outcome, "lost"), 0, "{outcome}");
        assert_eq!(delivered(&outcome), SUBSCRIBERS * topic.published(), "{outcome}");
    }
}
