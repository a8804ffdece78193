//! The counts of a run match the server's: requests, failures by kind, connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::server::{Peer, RIGHT, count, endless, figure, measure, responder, server, start, url};

#[test]
fn request_has_the_given_method_fields_and_body() {
    let (seen, requests) = mpsc::channel();
    let address = responder(move |request| {
        seen.send(request.to_owned()).ok();
        "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n".to_owned()
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a=b").unwrap();
    let arguments = format!(
        "-X POST -H Accept:x/y -H X-Two:2 --body-file {} --expect-status 201 -c 1 -d 50ms -w 0",
        file.path().display()
    );
    let (code, result) = measure(&url(address), &arguments);
    let expected =
        format!("POST /hello HTTP/1.1\r\nHost: {address}\r\naccept: x/y\r\nx-two: 2\r\nContent-Length: 3\r\n\r\na=b");
    assert_eq!(code, Some(0), "{result}");
    assert!(requests.iter().take(2).all(|request| request == expected));
}

#[test]
fn every_request_served_is_counted_once() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nHe\r\n3\r\nllo\r\n0\r\n\r\n";
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nHello";
    for (answer, arguments) in [
        (RIGHT, "-c 8"),
        (RIGHT, "-c 8 --pipeline 16 --threads 2"),
        (RIGHT, "-c 8 --rate 2000 --threads 2"),
        (RIGHT, "-c 2 --rate 1000000 --pipeline 8"),
        (RIGHT, "-c 8 --churn"),
        (RIGHT, "-c 8 --hold"),
        (chunked, "-c 4 --pipeline 3"),
        (old, "-c 4"),
    ] {
        let served = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&served);
        let address = responder(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            answer.to_owned()
        });
        let arguments = format!("-d 300ms -w 100ms --expect-body Hello {arguments}");
        let (code, result) = measure(&url(address), &arguments);
        let counters = ["/warmup_requests", "/requests", "/late_requests"];
        let answered: u64 = counters.map(|path| count(&result, path)).iter().sum();
        // No figure includes the request of the check before the load.
        assert_eq!(answered + 1, served.load(Ordering::Relaxed), "{arguments} {result}");
        assert_eq!(
            (code, count(&result, "/unanswered")),
            (Some(0), 0),
            "{arguments} {result}"
        );
        if arguments.contains("--hold") {
            assert_eq!((count(&result, "/still_open"), answered), (8, 8));
        }
    }
}

/// Counts the requests of a server that answers all of them with `answer`.
fn counting(answer: &'static str) -> (SocketAddr, Arc<AtomicU64>) {
    let served = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&served);
    let address = responder(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        answer.to_owned()
    });
    (address, served)
}

#[test]
fn run_ends_after_exactly_the_given_number_of_requests() {
    for arguments in [
        "-n 1",
        "-n 5 -c 64",
        "-n 1000 -c 8",
        "-n 1000 -c 8 --pipeline 16 --threads 3",
        "-n 100 -c 8 --rate 2000 --threads 2",
        "-n 100 -c 2 --rate 1000000 --pipeline 8",
        "-n 50 -c 8 --churn",
        "-n 3 -c 8 --churn --threads 2",
    ] {
        let (address, served) = counting(RIGHT);
        let (code, result) = measure(&url(address), arguments);
        let requests: u64 = arguments.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(
            (code, count(&result, "/requests")),
            (Some(0), requests),
            "{arguments} {result}"
        );
        // The server also answers the check before the load.
        assert_eq!(served.load(Ordering::Relaxed), requests + 1, "{arguments} {result}");
        for none in ["/warmup_requests", "/late_requests", "/unanswered", "/unsent"] {
            assert_eq!(count(&result, none), 0, "{none}: {arguments} {result}");
        }
        assert_eq!(count(&result, "/latency/count"), requests, "{arguments} {result}");
        let elapsed = figure(&result, "/elapsed_seconds");
        assert!(elapsed > 0.0 && elapsed < 10.0, "{arguments} {result}");
    }
}

#[test]
fn warm_up_does_not_count_towards_the_number_of_requests() {
    for arguments in [
        "-n 20 -c 4 --pipeline 4",
        "-n 20 -c 4 --churn",
        "-n 20 -c 4 --rate 1000",
    ] {
        let (address, served) = counting(RIGHT);
        let (code, result) = measure(&url(address), &format!("{arguments} -w 100ms"));
        assert_eq!(
            (code, count(&result, "/requests")),
            (Some(0), 20),
            "{arguments} {result}"
        );
        let [before, after] = ["/warmup_requests", "/late_requests"].map(|path| count(&result, path));
        assert!(before > 0, "{arguments} {result}");
        assert_eq!(
            served.load(Ordering::Relaxed),
            before + 20 + after + 1,
            "{arguments} {result}"
        );
    }
}

#[test]
fn duration_ends_a_run_before_its_number_of_requests() {
    let (address, _) = counting(RIGHT);
    let (code, result) = measure(&url(address), "-n 1000000000 -c 2 -d 200ms");
    assert_eq!(code, Some(0), "{result}");
    assert_eq!(result["elapsed_seconds"], 0.2, "{result}");
    assert!(count(&result, "/requests") < 1_000_000_000, "{result}");
}

#[test]
fn failed_requests_count_towards_the_number_of_requests() {
    // The first connection is the check.
    let address = server(|mut peer| {
        while peer.request().is_some() {
            let status = if peer.number == 0 { "200 OK" } else { "503 Busy" };
            peer.say(&RIGHT.replace("200 OK", status));
        }
    });
    let (code, result) = measure(&url(address), "-n 30 -c 4");
    assert_eq!(
        (code, count(&result, "/errors/wrong_status")),
        (Some(1), 30),
        "{result}"
    );
    let address = server(|mut peer| {
        if peer.number == 0 && peer.request().is_some() {
            peer.say(RIGHT);
        } else if peer.number > 0 {
            peer.request();
            SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    let (code, result) = measure(&url(address), "-n 8 -c 4");
    assert_eq!((code, count(&result, "/errors/reset")), (Some(1), 8), "{result}");
}

#[test]
fn slow_heads_run_beside_the_requests_and_each_close_is_counted() {
    const SLOW: usize = 40;
    let (seen, requests) = mpsc::channel();
    let behaviour = move |mut peer: Peer| {
        // The first connection is the check. The next 40 are slow heads, which the server closes; they reconnect later.
        if (1..=SLOW).contains(&peer.number) {
            return;
        }
        while let Some(request) = peer.request() {
            seen.send(request).ok();
            peer.say(RIGHT);
        }
    };
    let address = server(behaviour);
    let arguments = format!("-c 4 -d 400ms -w 100ms --rate 500 --slow-heads {SLOW}");
    let (code, result) = measure(&url(address), &arguments);
    assert_eq!(code, Some(0), "{result}");
    let figures = [
        "/slow_heads/held",
        "/slow_heads/cut",
        "/errors/reset",
        "/connections_opened",
    ];
    assert_eq!(
        figures.map(|path| count(&result, path)),
        [SLOW as u64, SLOW as u64, 0, 4]
    );
    let answered: u64 = ["/warmup_requests", "/requests", "/late_requests"]
        .map(|path| count(&result, path))
        .iter()
        .sum();
    let whole = requests.try_iter().filter(|request| request.contains("/hello")).count() as u64;
    assert_eq!(whole, answered + 1, "every slow head stays unfinished");
}

#[test]
fn close_delimited_response_is_counted_and_followed_by_a_new_connection() {
    let address = server(|mut peer| {
        if peer.request().is_some() {
            peer.say("HTTP/1.1 200 OK\r\n\r\nHello");
        }
    });
    let (code, result) = measure(&url(address), "-c 2 -d 200ms -w 0 --expect-body Hello");
    assert_eq!(code, Some(0), "{result}");
    let [answers, connections] = ["/requests", "/connections_opened"].map(|path| count(&result, path));
    assert!(answers > 2 && connections > 2, "{result}");
}

/// Loads a server that is correct during the check and then behaves as `behaviour`; all failures must be of one kind.
fn assert_counted_as(kind: &str, behaviour: impl Fn(Peer) + Send + Sync + 'static) {
    let address = server(move |mut peer| {
        if peer.number > 0 {
            return behaviour(peer);
        }
        while peer.request().is_some() {
            peer.say(RIGHT);
        }
    });
    let arguments = "-c 2 -p 2 -d 600ms -w 0 --timeout 200ms --expect-body Hello";
    let (code, result) = measure(&url(address), arguments);
    let errors = result["errors"].as_object().unwrap();
    for (name, number) in errors {
        assert_eq!(number.as_u64() > Some(0), name == kind, "{kind}: {result}");
    }
    assert_eq!(code, Some(1), "{kind}");
}

#[test]
fn wrong_responses_under_load_are_counted_by_kind() {
    for (kind, status, fields, body) in [
        ("wrong_status", "503 Busy", "Content-Length: 5", "Hello"),
        ("wrong_body", "200 OK", "Content-Length: 5", "HellO"),
        ("wrong_body", "200 OK", "Content-Length: 6", "Hello!"),
        ("malformed", "200 OK", "Content-Length: five", "Hello"),
        ("malformed", "200 OK", "Content-Length: 5", "HelloHello"),
        (
            "closed_early",
            "200 OK",
            "Content-Length: 5\r\nConnection: close",
            "Hello",
        ),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n{body}");
        assert_counted_as(kind, move |mut peer| {
            while peer.request().is_some() {
                peer.say(&answer);
            }
        });
    }
}

#[test]
fn failed_connections_under_load_are_counted_by_kind() {
    // The server reads both requests first, because closing with unread bytes resets the connection.
    assert_counted_as("closed_early", |mut peer| drop((peer.request(), peer.request(), peer)));
    assert_counted_as("reset", |mut peer| {
        peer.request();
        SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    assert_counted_as("timeout", |mut peer| while peer.request().is_some() {});
    assert_counted_as("timeout", endless);
}

#[test]
fn second_response_after_connection_close_is_malformed() {
    let address = server(|mut peer| {
        if peer.request().is_some() {
            peer.say(&RIGHT.repeat(if peer.number == 0 { 1 } else { 2 }));
        }
    });
    let (code, result) = measure(&url(address), "--churn -c 2 -d 300ms -w 0");
    assert_eq!(code, Some(1), "{result}");
    assert!(count(&result, "/errors/malformed") > 0, "{result}");
}

#[test]
fn connections_closed_during_an_idle_hold_are_counted() {
    const CONNECTIONS: usize = 5;
    let all_are_open = Barrier::new(CONNECTIONS);
    let address: SocketAddr = server(move |mut peer| {
        while peer.request().is_some() {
            peer.say(RIGHT);
            // Connection 0 is that of the check before the load.
            if peer.number > 0 {
                all_are_open.wait();
            }
            if matches!(peer.number, 2 | 4) {
                // A client that holds its connections sends nothing by which a server could see that it has read all
                // responses. Reading five takes much less than this time, and the hold takes longer.
                thread::sleep(Duration::from_secs(1));
                return;
            }
        }
    });
    let (code, result) = measure(&url(address), "-c 5 --hold -d 3s -w 0");
    assert_eq!((code, count(&result, "/still_open")), (Some(1), 3), "{result}");
}

#[test]
fn interrupt_prints_what_was_measured_so_far() {
    let (served, counter) = mpsc::channel();
    let address = responder(move |_| {
        served.send(()).ok();
        RIGHT.to_owned()
    });
    let running = start(&url(address), "-c 2 -d 1000s -w 0");
    assert_eq!(counter.iter().take(100).count(), 100);
    running.interrupt();
    let ended = running.end();
    let printed = ended.stdout;
    assert_eq!(ended.status.code(), Some(130), "{printed}");
    assert!(
        printed.contains("interrupted:") && printed.contains("latency p50"),
        "{printed}"
    );
}
