//! Fan-out to event streams: the same counts as for WebSockets; other responses are named before the load.

use serde_json::Value;

use crate::server::{Delivery, Topic, answering};
use crate::support::command::{Ended, run};

const SUBSCRIBERS: u64 = 3;

/// Publishes to three event streams for 300 ms.
fn fan_out(topic: &Topic, arguments: &[&str]) -> Ended {
    let (subscribe, publish) = (
        format!("http://{}/events", topic.address),
        format!("ws://{}/ws/pub", topic.address),
    );
    let mut all = vec![subscribe.as_str(), "--publish", publish.as_str(), "-c", "3", "--json"];
    all.extend(["--duration", "300ms", "--warmup", "0", "--timeout", "2s"]);
    all.extend(arguments);
    run(&all)
}

/// Runs at 100 messages a second; the second subscriber receives the fifth message as `delivery` says.
fn fan_out_with(delivery: Delivery) -> Ended {
    let topic = Topic::start(move |index, number| match (index, number) {
        (1, 5) => delivery,
        _ => Delivery::Once,
    });
    fan_out(&topic, &["--rate", "100"])
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
fn every_event_is_counted_once() {
    for arguments in [
        &["--rate", "200"][..],
        &["--rate", "200", "--burst", "10", "--message-bytes", "32"],
        &["--burst", "4", "--threads", "2"],
        &["--rate", "100", "--stalled", "2", "-H", "X-A: b"],
    ] {
        let topic = Topic::start(|_, _| Delivery::Once);
        let ended = fan_out(&topic, arguments);
        assert!(ended.status.success(), "{arguments:?}: {ended:?}");
        let outcome = ended.outcome();
        assert_eq!(figure(&outcome, "published"), topic.published(), "{arguments:?}");
        assert_eq!(delivered(&outcome), SUBSCRIBERS * topic.published(), "{arguments:?}");
        assert!(outcome["latency"]["count"].as_u64() > Some(0), "{outcome}");
    }
}

#[test]
fn lost_repeated_and_swapped_events_are_counted() {
    for (delivery, lost, duplicated, out_of_order) in [
        (Delivery::Never, 1, 0, 0),
        (Delivery::Twice, 0, 1, 0),
        (Delivery::AfterNext, 0, 0, 1),
    ] {
        let ended = fan_out_with(delivery);
        ended.assert_failed_because(&format!(
            "{lost} lost, {duplicated} duplicated, {out_of_order} out of order"
        ));
        let outcome = ended.outcome();
        let counted = ["lost", "duplicated", "out_of_order"].map(|name| figure(&outcome, name));
        assert_eq!(counted, [lost, duplicated, out_of_order], "{delivery:?}");
    }
}

#[test]
fn changed_event_invalid_chunk_and_closed_stream_are_failures() {
    for (delivery, reason) in [
        (Delivery::Changed, "1 connections failed: 1 wrong body"),
        (Delivery::Forbidden, "1 connections failed: 1 malformed"),
        (Delivery::Close, "1 connections failed: 1 closed early"),
    ] {
        fan_out_with(delivery).assert_failed_because(reason);
    }
}

#[test]
fn announced_losses_are_counted() {
    let topic = Topic::start(|index, number| match (index, number) {
        (1, 10..15) => Delivery::Never,
        (1, 15) => Delivery::AfterNotice(5),
        _ => Delivery::Once,
    });
    let ended = fan_out(&topic, &["--rate", "100"]);
    ended.assert_failed_because("5 lost, 0 duplicated, 0 out of order");
    assert_eq!(figure(&ended.outcome(), "told"), 5);
}

#[test]
fn other_responses_are_named_before_the_load() {
    let topic = Topic::start(|_, _| Delivery::Once);
    let publish = format!("ws://{}/ws/pub", topic.address);
    for (answer, reason) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "expected status 200, got 404"),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
            "expected content type text/event-stream, got text/html",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: hello\ndata: x\n\n",
            "an event named `hello`",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n",
            "a message of 5 bytes that this run did not publish",
        ),
        ("", "closed the connection before it answered"),
    ] {
        let subscribe = format!("http://{}/events", answering(answer));
        let ended = run(&[&subscribe, "--publish", &publish, "-c", "2", "--timeout", "1s"]);
        ended.assert_failed_because(reason);
    }
    assert_eq!(topic.published(), 0);
}

#[test]
fn message_without_room_for_its_number_is_an_error() {
    let topic = Topic::start(|_, _| Delivery::Once);
    fan_out(&topic, &["--message-bytes", "31"]).assert_failed_because("it needs 32 bytes or more, not 31");
}
