//! `run` as a user meets it: what it counts, what it sees that others hide, and what it says when something is wrong.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

mod run_support;

use run_support::{RIGHT, count, figure, finish, measure, responder, run, server, start};

fn url(address: SocketAddr) -> String {
    format!("http://{address}/hello")
}

#[test]
fn first_answer_that_is_wrong_ends_the_run_with_the_reason() {
    let endless = "a: b\r\n".repeat(200);
    let says = |text: String| responder(move |_| text.clone());
    let with = |status: &str| RIGHT.replace("200 OK", status);
    let keeps_silent = server(|mut peer| while peer.request().is_some() {});
    let closes_at_once = server(drop);
    let stops_in_the_middle = server(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHel");
        // Held until the client has gone.
        peer.request();
    });
    for (address, mistake) in [
        (says(with("500 Internal Server Error")), "expected status 200, got 500"),
        (says("SSH-2.0-OpenSSH_9.9\r\n".to_owned()), "not an HTTP/1.1 head"),
        (says(RIGHT.repeat(2)), "more came than one answer"),
        (
            says(format!("HTTP/1.1 200 OK\r\n{endless}\r\n")),
            "more than 128 fields",
        ),
        (
            says(RIGHT.replace("Hello", "Howdy")),
            "the body is not the expected one",
        ),
        (closes_at_once, "before it answered"),
        (keeps_silent, "in time (see --timeout)"),
        (stops_in_the_middle, "in time (see --timeout)"),
    ] {
        let arguments = [&url(address), "--timeout", "500ms", "--expect-body", "Hello"];
        let (code, printed, said) = run(&arguments);
        assert!(
            code == Some(1) && said.contains(mistake) && printed.is_empty(),
            "{mistake}: {code:?} {said} {printed}"
        );
    }
}

#[test]
fn server_that_cannot_be_reached_is_named() {
    // Bound and not listening: nobody else can have this port, and connecting to it is refused.
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    taken
        .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    let refused = url(taken.local_addr().unwrap().as_socket().unwrap());
    for (arguments, status, mistake) in [
        (vec![refused.as_str()], 1, "Connection refused"),
        (
            vec!["http://squall.invalid/", "--timeout", "2s"],
            1,
            "cannot resolve `squall.invalid`",
        ),
        (vec!["127.0.0.1:80"], 2, "must start with http://"),
        (vec!["https://127.0.0.1/"], 2, "TLS is not supported"),
        (vec!["http://127.0.0.1/", "--rate", "0"], 1, "the rate must be"),
        (
            vec!["http://127.0.0.1/", "--threads", "65"],
            1,
            "65 threads cannot share 64 connections",
        ),
        (
            vec!["http://127.0.0.1/", "--cores", "1023"],
            1,
            "may not run on core 1023",
        ),
        (
            vec!["http://127.0.0.1/", "--body-file", "/nowhere/at/all"],
            1,
            "cannot read /nowhere/at/all",
        ),
        (
            vec!["http://127.0.0.1/", "--header", "nonsense"],
            2,
            "a name, a colon and a value",
        ),
        (vec!["http://127.0.0.1/", "--duration", "soon"], 2, "a length of time"),
        (
            vec!["http://127.0.0.1/", "--churn", "--rate", "5"],
            2,
            "cannot be used with",
        ),
    ] {
        let (code, _, said) = run(&arguments);
        assert!(
            code == Some(status) && said.contains(mistake),
            "{arguments:?}: {code:?} {said}"
        );
    }
}

#[test]
fn request_is_sent_as_asked() {
    let (seen, requests) = mpsc::channel();
    let address = responder(move |request| {
        seen.send(request.to_owned()).ok();
        "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n".to_owned()
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a=b").unwrap();
    let body_file = file.path().to_str().unwrap();
    let (code, _) = measure(
        &url(address),
        &[
            "-X",
            "POST",
            "-H",
            "Accept: x/y",
            "-H",
            "X-Two: 2",
            "--body-file",
            body_file,
            "--expect-status",
            "201",
            "-c",
            "1",
            "-d",
            "50ms",
            "-w",
            "0",
        ],
    );
    let expected =
        format!("POST /hello HTTP/1.1\r\nHost: {address}\r\naccept: x/y\r\nx-two: 2\r\nContent-Length: 3\r\n\r\na=b");
    assert_eq!(code, Some(0));
    assert!(requests.iter().take(3).all(|request| request == expected));
}

#[test]
fn every_request_served_is_counted_once() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nHe\r\n3\r\nllo\r\n0\r\n\r\n";
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nHello";
    for (answer, arguments) in [
        (RIGHT, &["-c", "8"][..]),
        (RIGHT, &["-c", "8", "--pipeline", "16", "--threads", "2"]),
        (RIGHT, &["-c", "8", "--rate", "2000", "--threads", "2"]),
        (RIGHT, &["-c", "2", "--rate", "1000000", "--pipeline", "8"]),
        (RIGHT, &["-c", "8", "--churn"]),
        (RIGHT, &["-c", "8", "--hold"]),
        (chunked, &["-c", "4", "--pipeline", "3"]),
        (old, &["-c", "4"]),
    ] {
        let served = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&served);
        let address = responder(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            answer.to_owned()
        });
        let common = ["-d", "300ms", "-w", "100ms", "--expect-body", "Hello"];
        let all: Vec<&str> = common.iter().chain(arguments).copied().collect();
        let (code, result) = measure(&url(address), &all);
        let answered: u64 = ["/warmup_requests", "/requests", "/late_requests"]
            .map(|path| count(&result, path))
            .iter()
            .sum();
        // The one that was checked before the load is in no figure.
        assert_eq!(answered + 1, served.load(Ordering::Relaxed), "{arguments:?} {result}");
        assert_eq!(
            (code, count(&result, "/unanswered")),
            (Some(0), 0),
            "{arguments:?} {result}"
        );
        if arguments.contains(&"--hold") {
            assert_eq!((count(&result, "/still_open"), answered), (8, 8));
        }
    }
}

#[test]
fn answer_that_only_the_close_ends_is_counted_and_a_new_connection_opened() {
    let address = server(|mut peer| {
        if peer.request().is_some() {
            peer.say("HTTP/1.1 200 OK\r\n\r\nHello");
        }
    });
    let (code, result) = measure(
        &url(address),
        &["-c", "2", "-d", "200ms", "-w", "0", "--expect-body", "Hello"],
    );
    assert_eq!(code, Some(0), "{result}");
    assert!(
        count(&result, "/requests") > 2 && count(&result, "/connections_opened") > 2,
        "{result}"
    );
}

#[test]
fn what_goes_wrong_during_the_load_is_counted_by_kind() {
    let wrong = |text: &'static str| {
        let answer: Box<dyn Fn(run_support::Peer) + Send + Sync> = Box::new(move |mut peer| {
            while peer.request().is_some() {
                peer.say(text);
            }
        });
        answer
    };
    let closes = |mut peer: run_support::Peer| drop(peer.request());
    let resets = |mut peer: run_support::Peer| {
        peer.request();
        SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
    };
    let keeps_silent = |mut peer: run_support::Peer| while peer.request().is_some() {};
    for (kind, habit) in [
        (
            "wrong_status",
            wrong("HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nHello"),
        ),
        ("wrong_body", wrong("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHellO")),
        (
            "wrong_body",
            wrong("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nHello!"),
        ),
        (
            "malformed",
            wrong("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nHello"),
        ),
        (
            "malformed",
            wrong("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHelloHello"),
        ),
        ("closed_early", Box::new(closes)),
        (
            "closed_early",
            wrong("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nHello"),
        ),
        ("reset", Box::new(resets)),
        ("timeout", Box::new(keeps_silent)),
    ] {
        let address = server(move |mut peer| {
            if peer.number > 0 {
                return habit(peer);
            }
            // The one that is checked before the load.
            while peer.request().is_some() {
                peer.say(RIGHT);
            }
        });
        let arguments = [
            "-c",
            "2",
            "-p",
            "2",
            "-d",
            "600ms",
            "-w",
            "0",
            "--timeout",
            "200ms",
            "--expect-body",
            "Hello",
        ];
        let (code, result) = measure(&url(address), &arguments);
        let errors = result["errors"].as_object().unwrap();
        assert!(errors[kind].as_u64() > Some(0), "{kind}: {result}");
        let others = errors.iter().filter(|(name, _)| *name != kind);
        assert!(
            others.into_iter().all(|(_, count)| count.as_u64() == Some(0)),
            "{kind}: {result}"
        );
        assert_eq!(code, Some(1), "{kind}");
    }
}

#[test]
fn connections_lost_while_held_are_counted() {
    let address = server(|mut peer| {
        while peer.request().is_some() {
            peer.say(RIGHT);
            if matches!(peer.number, 2 | 4) {
                // Its habit: it tires of silence long after all five are open, and long before the hold is over.
                thread::sleep(Duration::from_millis(700));
                return;
            }
        }
    });
    let (code, result) = measure(&url(address), &["-c", "5", "--hold", "-d", "1500ms", "-w", "0"]);
    assert_eq!((code, count(&result, "/still_open")), (Some(1), 3), "{result}");
}

/// A server that answers at once, but for one request in a run, which takes 300 ms.
fn stalling_server() -> SocketAddr {
    let (served, stalled) = (AtomicU64::new(0), AtomicBool::new(false));
    responder(move |_| {
        if served.fetch_add(1, Ordering::Relaxed) == 50 && !stalled.swap(true, Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(300));
        }
        RIGHT.to_owned()
    })
}

#[test]
fn open_loop_sees_the_stall_that_a_closed_loop_hides() {
    let common = ["-c", "1", "-d", "1s", "-w", "0"];
    let with = |rate: &[&'static str]| {
        let arguments: Vec<&str> = common.iter().chain(rate).copied().collect();
        measure(&url(stalling_server()), &arguments).1
    };
    let (closed, open) = (with(&[]), with(&["--rate", "200"]));
    // 200 requests were due, a dozen of them in the first 60 ms of the stall; the closed loop sent one into all of it.
    assert_eq!(count(&open, "/latency/count"), 200, "{open}");
    assert!(figure(&open, "/latency/p99_us") > 250_000.0, "{open}");
    assert!(figure(&open, "/latency/p90_us") > 100_000.0, "{open}");
    assert!(figure(&closed, "/latency/p99_us") < 100_000.0, "{closed}");
    assert!(figure(&closed, "/latency/max_us") >= 300_000.0, "{closed}");
}

#[test]
fn requests_that_found_no_connection_count_with_their_age() {
    // One connection can have 50 answers a second; 500 are due.
    let address = responder(|_| {
        thread::sleep(Duration::from_millis(20));
        RIGHT.to_owned()
    });
    let (code, result) = measure(&url(address), &["-c", "1", "--rate", "500", "-d", "1s", "-w", "0"]);
    assert_eq!((code, count(&result, "/latency/count")), (Some(0), 500), "{result}");
    let answered = count(&result, "/requests") + count(&result, "/late_requests");
    assert_eq!(answered + count(&result, "/unsent"), 500, "{result}");
    assert!(
        count(&result, "/unsent") >= 449 && figure(&result, "/latency/p50_us") > 400_000.0,
        "{result}"
    );
}

/// A server that holds each answer, and tells how long each one was really held.
fn holding_server(hold: Duration) -> (SocketAddr, mpsc::Receiver<Duration>) {
    let (held, receiver) = mpsc::channel();
    let address = responder(move |_| {
        let start = Instant::now();
        thread::sleep(hold);
        held.send(start.elapsed()).ok();
        RIGHT.to_owned()
    });
    (address, receiver)
}

#[test]
fn latency_is_never_less_than_what_the_server_held() {
    let (address, held) = holding_server(Duration::from_millis(20));
    let (code, result) = measure(&url(address), &["-c", "16", "--rate", "100", "-d", "1s", "-w", "0"]);
    assert_eq!((code, count(&result, "/latency/count")), (Some(0), 100), "{result}");
    // The histogram keeps three digits.
    assert!(figure(&result, "/latency/min_us") >= 20_000.0 * 0.999, "{result}");
    let longest = held.try_iter().skip(1).max().unwrap();
    assert!(
        figure(&result, "/latency/max_us") >= longest.as_secs_f64() * 1e6 * 0.999,
        "{result}"
    );
}

#[test]
#[ignore = "needs a quiet machine: cargo test --release -p squall-loadtest --test run -- --ignored --nocapture"]
fn open_loop_agrees_with_a_fixed_delay_within_five_per_cent() {
    let (address, _held) = holding_server(Duration::from_millis(20));
    let (_, result) = measure(&url(address), &["-c", "32", "--rate", "200", "-d", "10s"]);
    let percentiles =
        ["p50", "p90", "p99", "p99_9"].map(|name| figure(&result, &format!("/latency/{name}_us")) / 20_000.0);
    println!("latency ÷ delay at p50, p90, p99, p99.9: {percentiles:.4?}");
    assert!((percentiles[2] - 1.0).abs() < 0.05, "{result}");
}

#[test]
fn interrupt_prints_what_was_measured_so_far() {
    let (served, counter) = mpsc::channel();
    let address = responder(move |_| {
        served.send(()).ok();
        RIGHT.to_owned()
    });
    let child = start(&[&url(address), "-c", "2", "-d", "1000s", "-w", "0"]);
    assert_eq!(counter.iter().take(100).count(), 100);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let output = finish(child);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{printed}");
    assert!(
        printed.contains("interrupted:") && printed.contains("latency p50"),
        "{printed}"
    );
}
