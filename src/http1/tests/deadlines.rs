//! Timeouts, with a clock that only these tests move.

use core::time::Duration;
use std::time::Instant;

use super::super::{BodyLength, Event, Expired, Limits, Next};
use super::Bench;
use crate::message::{ResponseHead, StatusCode};

impl Bench {
    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Returns the time until the deadline.
    fn time_left(&self) -> Option<Duration> {
        self.connection.poll_deadline().map(|at| at.duration_since(self.now))
    }

    /// Moves the clock to the deadline and returns what expired; nothing may expire a moment before.
    fn expire(&mut self) -> Option<Expired> {
        let at: Instant = self.connection.poll_deadline()?;
        assert_eq!(self.connection.handle_deadline(at - Duration::from_nanos(1)), None);
        self.now = at;
        self.connection.handle_deadline(at)
    }

    fn receive_only(&mut self, input: &[u8]) {
        assert_eq!(self.receive_all(input), Ok(Event::NeedData));
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// The peer sends nothing.
#[test]
fn a_silent_connection_is_closed_without_a_response() {
    let mut bench = Bench::new();
    assert_eq!(bench.time_left(), Some(10 * SECOND));
    bench.receive_only(b"");
    bench.receive_only(b"\r\n");
    assert!(bench.connection.is_idle());
    assert_eq!(bench.expire(), Some(Expired::Idle));
    assert_eq!(Expired::Idle.status(), None);
    assert_eq!(bench.receive_all(b""), Ok(Event::Closed));
    assert!(!bench.connection.is_responding());
}

/// A byte every nine seconds does not extend the deadline.
#[test]
fn a_head_has_ten_seconds_from_its_first_byte() {
    let mut bench = Bench::new();
    bench.wait(9 * SECOND);
    let mut head = b"G".to_vec();
    for seconds in [10, 1] {
        let mut input = head.as_slice();
        assert_eq!(bench.receive(&mut input), Ok(Event::NeedData));
        assert_eq!(bench.time_left(), Some(seconds * SECOND));
        assert!(!bench.connection.is_idle());
        head.push(b'E');
        bench.wait(9 * SECOND);
    }
    bench.now -= 9 * SECOND;
    assert_eq!(bench.expire(), Some(Expired::Head));
    assert_eq!(Expired::Head.status(), Some(StatusCode::REQUEST_TIMEOUT));
    bench.respond(StatusCode::REQUEST_TIMEOUT, b"");
    assert_eq!(
        bench.sent(),
        "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(bench.connection.next_exchange(bench.now), Next::Close);
}

#[test]
fn no_deadline_runs_while_the_peer_waits_for_a_response() {
    let mut bench = Bench::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(bench.time_left(), None);
    assert_eq!(bench.receive_all(b""), Ok(Event::End));
    assert_eq!(bench.time_left(), None);
    assert_eq!(bench.expire(), None);
    bench.respond(StatusCode::OK, b"");
    assert_eq!(bench.time_left(), None);
}

#[test]
fn an_idle_connection_is_kept_for_seventy_five_seconds() {
    let mut bench = Bench::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    bench.respond(StatusCode::OK, b"");
    bench.wait(SECOND);
    assert_eq!(bench.connection.next_exchange(bench.now), Next::KeepAlive);
    assert_eq!(bench.time_left(), Some(75 * SECOND));
    bench.wait(70 * SECOND);
    let mut input = b"G".as_slice();
    assert_eq!(bench.receive(&mut input), Ok(Event::NeedData));
    assert_eq!(bench.time_left(), Some(10 * SECOND), "a head has begun");
}

/// One byte in 29 seconds is below the minimum rate.
#[test]
fn content_must_not_pause_nor_trickle() {
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    bench.receive_only(b"");
    assert_eq!(
        bench.time_left(),
        Some(20 * SECOND),
        "the grace ends before the longest pause"
    );
    bench.wait(19 * SECOND);
    assert_eq!(bench.receive_all(b"a"), Ok(Event::Data(b"a")));
    assert_eq!(bench.time_left(), None, "the application has the turn");
    bench.receive_only(b"");
    assert_eq!(bench.time_left(), Some(SECOND));
    assert_eq!(bench.expire(), Some(Expired::Body));
    assert_eq!(bench.receive_all(b""), Ok(Event::Closed));
    bench.respond(StatusCode::REQUEST_TIMEOUT, b"");
    assert!(bench.sent().contains("\r\nConnection: close\r\n"));
}

#[test]
fn a_steady_rate_at_the_minimum_is_enough() {
    let content = [0; 240 * 10];
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    // Content that arrives in bursts must be ahead of the rate by the length of the pause.
    for _ in 0..2 {
        assert_eq!(bench.receive_all(&content), Ok(Event::Data(&content)));
        bench.receive_only(b"");
    }
    for _ in 0..20 {
        bench.wait(10 * SECOND);
        assert_eq!(bench.connection.handle_deadline(bench.now), None);
        assert_eq!(bench.receive_all(&content), Ok(Event::Data(&content)));
        bench.receive_only(b"");
    }
    assert_eq!(
        bench.time_left(),
        Some(20 * SECOND),
        "220 seconds have been paid for and 200 used up"
    );
    assert_eq!(bench.expire(), Some(Expired::Body));
}

#[test]
fn fast_content_may_still_not_pause_for_more_than_thirty_seconds() {
    let content = vec![0; 500_000];
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    assert_eq!(bench.receive_all(&content), Ok(Event::Data(&content)));
    bench.receive_only(b"");
    assert_eq!(bench.time_left(), Some(30 * SECOND));
    bench.wait(10 * SECOND);
    bench.receive_only(b"");
    assert_eq!(
        bench.time_left(),
        Some(20 * SECOND),
        "asking again does not start the clock again"
    );
    assert_eq!(bench.expire(), Some(Expired::Body));
}

/// The peer is not charged for time in which the application did not ask for content.
#[test]
fn a_slow_application_is_not_the_peers_fault() {
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    bench.wait(100 * SECOND);
    assert_eq!(bench.time_left(), None);
    assert_eq!(bench.receive_all(b"a"), Ok(Event::Data(b"a")));
    bench.wait(100 * SECOND);
    bench.receive_only(b"");
    assert_eq!(bench.time_left(), Some(20 * SECOND));
}

#[test]
fn chunk_framing_is_progress_and_a_finished_body_has_no_deadline() {
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    bench.receive_only(b"1");
    bench.wait(19 * SECOND);
    bench.receive_only(b"0");
    assert_eq!(bench.time_left(), Some(SECOND));
    assert_eq!(
        bench.receive_all(b"\r\n0123456789abcdef"),
        Ok(Event::Data(b"0123456789abcdef"))
    );
    bench.receive_only(b"\r\n0\r\n");
    assert_eq!(bench.time_left(), Some(SECOND));
    assert_eq!(bench.receive_all(b"\r\n"), Ok(Event::End));
    assert_eq!(bench.time_left(), None);
}

#[test]
fn a_pause_is_measured_from_the_last_byte() {
    let limits = Limits::default().min_body_rate(0);
    let mut bench = Bench::with(limits);
    let mut input = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1".as_slice();
    assert_eq!(bench.receive(&mut input), Ok(Event::Request));
    assert_eq!(bench.receive(&mut input), Ok(Event::NeedData));
    bench.wait(29 * SECOND);
    bench.receive_only(b"0");
    assert_eq!(bench.time_left(), Some(30 * SECOND));
}

/// One request does not use up the grace of the next.
#[test]
fn each_request_has_its_own_time() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        let mut input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n".as_slice();
        assert_eq!(bench.receive(&mut input), Ok(Event::Request));
        bench.receive_only(b"");
        assert_eq!(bench.time_left(), Some(20 * SECOND));
        bench.wait(15 * SECOND);
        assert_eq!(bench.receive_all(b"a"), Ok(Event::Data(b"a")));
        bench.respond(StatusCode::OK, b"");
        assert_eq!(bench.connection.next_exchange(bench.now), Next::KeepAlive);
    }
}

/// A peer that waits for `100 Continue` is not late; its time begins when that is sent.
#[test]
fn the_time_for_content_begins_with_100_continue() {
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    bench.receive_only(b"");
    assert_eq!(bench.time_left(), None);
    bench.wait(100 * SECOND);
    assert!(bench.connection.send_continue(bench.now, &mut bench.out));
    assert_eq!(bench.time_left(), Some(20 * SECOND));
}

/// Draining has a deadline of its own.
#[test]
fn draining_takes_five_seconds_at_most() {
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    bench.respond(StatusCode::OK, b"");
    assert_eq!(bench.connection.next_exchange(bench.now), Next::Drain);
    assert_eq!(bench.time_left(), Some(5 * SECOND));
    bench.wait(4 * SECOND);
    bench.receive_only(b"012345678");
    assert_eq!(bench.time_left(), Some(SECOND));
    assert_eq!(bench.expire(), Some(Expired::Drain));
    assert_eq!(Expired::Drain.status(), None);
    assert_eq!(bench.receive_all(b""), Ok(Event::Closed));
}

#[test]
fn an_upgraded_connection_has_no_deadline() {
    let mut bench = Bench::after("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    bench
        .send_head(&ResponseHead::new(StatusCode::SWITCHING_PROTOCOLS), BodyLength::Unknown)
        .unwrap();
    assert_eq!(bench.time_left(), None);
}

#[test]
fn limits_beyond_the_clock_mean_no_deadline() {
    let limits = Limits::default()
        .first_byte_timeout(Duration::MAX)
        .body_timeout(Duration::MAX)
        .min_body_rate(0);
    let mut bench = Bench::with(limits);
    assert_eq!(bench.time_left(), None);
    let mut input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n".as_slice();
    assert_eq!(bench.receive(&mut input), Ok(Event::Request));
    bench.receive_only(b"");
    assert_eq!(bench.time_left(), None);
}
