//! Latency counts from when a request was due, and includes each wait.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{RIGHT, count, figure, measure, responder, url};

/// Starts a server that answers immediately, except for one request, which takes 300 ms.
fn stalling_server() -> SocketAddr {
    let served = AtomicU64::new(0);
    responder(move |_| {
        if served.fetch_add(1, Ordering::Relaxed) == 50 {
            // The stall that the run must measure.
            thread::sleep(Duration::from_millis(300));
        }
        RIGHT.to_owned()
    })
}

#[test]
fn open_loop_sees_the_stall_that_a_closed_loop_hides() {
    let [closed, open] = ["", "--rate 200"].map(|rate| {
        let arguments = format!("-c 1 -d 1s -w 0 {rate}");
        measure(&url(stalling_server()), &arguments).1
    });
    // 60 of 200 requests were due during the stall; the closed loop sent only one.
    assert_eq!(count(&open, "/latency/count"), 200, "{open}");
    assert!(figure(&open, "/latency/p99_us") > 250_000.0, "{open}");
    assert!(figure(&open, "/latency/p90_us") > 100_000.0, "{open}");
    assert!(figure(&closed, "/latency/p99_us") < 100_000.0, "{closed}");
    assert!(figure(&closed, "/latency/max_us") >= 299_000.0, "{closed}");
}

#[test]
fn requests_without_a_free_connection_count_with_their_age() {
    // One connection completes at most 50 requests a second; 500 are due.
    let address = responder(|_| {
        // The time that the run must measure.
        thread::sleep(Duration::from_millis(20));
        RIGHT.to_owned()
    });
    // The timeout counts from the send, so waiting for a free connection does not fail.
    let (code, result) = measure(&url(address), "-c 1 --rate 500 -d 1s -w 0 --timeout 300ms");
    assert_eq!((code, count(&result, "/latency/count")), (Some(0), 500), "{result}");
    let [answered, late, unsent] = ["/requests", "/late_requests", "/unsent"].map(|path| count(&result, path));
    assert_eq!(answered + late + unsent, 500, "{result}");
    // At most 50 answers on any machine, because each takes at least 20 ms.
    assert!(
        unsent >= 449 && figure(&result, "/latency/p50_us") > 400_000.0,
        "{result}"
    );
}

#[test]
fn latency_is_at_least_the_time_in_the_server() {
    let (held, holds) = mpsc::channel();
    let address = responder(move |_| {
        let start = Instant::now();
        // The time that the run must measure.
        thread::sleep(Duration::from_millis(20));
        held.send(start.elapsed()).ok();
        RIGHT.to_owned()
    });
    let (code, result) = measure(&url(address), "-c 16 --rate 100 -d 1s -w 0");
    assert_eq!((code, count(&result, "/latency/count")), (Some(0), 100), "{result}");
    // The histogram keeps three digits; the first answer belongs to the check before the load.
    assert!(figure(&result, "/latency/min_us") >= 20_000.0 * 0.999, "{result}");
    let longest = holds.try_iter().skip(1).max().unwrap();
    assert!(
        figure(&result, "/latency/max_us") >= longest.as_secs_f64() * 1e6 * 0.999,
        "{result}"
    );
}

#[test]
#[ignore = "needs a quiet machine: cargo test --release -p squall-loadtest --test run -- --ignored --nocapture"]
fn open_loop_agrees_with_a_fixed_delay_within_five_per_cent() {
    let (held, holds) = mpsc::channel();
    let address = responder(move |_| {
        let start = Instant::now();
        // The time that the run must measure.
        thread::sleep(Duration::from_millis(20));
        held.send(start.elapsed().as_secs_f64() * 1e6).ok();
        RIGHT.to_owned()
    });
    let (_, result) = measure(&url(address), "-c 32 --rate 200 -d 10s");
    // The real time in the server: `sleep` wakes a little late.
    let mut holds: Vec<f64> = holds.try_iter().collect();
    holds.sort_by(f64::total_cmp);
    for (name, percentile) in [("p50", 50), ("p90", 90), ("p99", 99)] {
        let (measured, held) = (
            figure(&result, &format!("/latency/{name}_us")),
            holds[holds.len() * percentile / 100],
        );
        let ratio = measured / 20_000.0;
        println!("{name}: measured {measured:.0} µs, held {held:.0} µs, delay 20000 µs; measured ÷ delay {ratio:.4}");
        assert!((ratio - 1.0).abs() < 0.05, "{result}");
    }
}
