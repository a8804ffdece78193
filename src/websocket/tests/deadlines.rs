//! Deadlines of the peer, by a clock that only these tests move.

use core::time::Duration;

use super::super::{CloseCode, Event, Expired, Limits};
use super::{Bench, CLOSE, FIN, PING, PONG, TEXT, closing, masked, plain};

const SECOND: Duration = Duration::from_secs(1);

impl Bench {
    /// Time from now until the deadline.
    fn remaining(&self) -> Option<Duration> {
        self.connection.poll_deadline().map(|at| at.duration_since(self.now))
    }

    /// Moves the clock to the deadline and returns what expired. A nanosecond before, nothing is due.
    fn expire(&mut self) -> Option<Expired> {
        let at = self.connection.poll_deadline().unwrap();
        assert_eq!(self.connection.handle_deadline(at - Duration::from_nanos(1)), None);
        assert!(!self.connection.has_pending_control());
        self.now = at;
        self.connection.handle_deadline(at)
    }
}

/// A peer that has vanished (`docs/threats.md#vanished-peer`).
#[test]
fn a_quiet_peer_is_pinged_and_a_silent_peer_times_out() {
    let mut bench = Bench::server();
    assert_eq!(bench.remaining(), Some(25 * SECOND));
    assert_eq!(bench.expire(), None);
    assert_eq!(bench.sent(), plain(FIN | PING, b""));
    assert_eq!(bench.remaining(), Some(10 * SECOND));
    assert_eq!(bench.expire(), Some(Expired::Pong));
    assert_eq!(bench.sent(), plain(FIN | CLOSE, &closing(1011, b"ping timed out")));
    assert!(bench.connection.is_over() && !bench.connection.is_open());
    assert_eq!(bench.remaining(), None);
    assert_eq!(bench.receive_all(b""), Ok(Event::Closed));
    assert_eq!(bench.connection.receive_eof(), Ok(()));
}

#[test]
fn any_byte_resets_the_silence_timer() {
    for sign in [masked(FIN | PONG, b""), masked(FIN | TEXT, b"x"), vec![FIN | TEXT]] {
        let mut bench = Bench::server();
        bench.expire();
        bench.sent();
        bench.now += 9 * SECOND;
        bench.receive(&mut sign.as_slice()).unwrap();
        assert_eq!(bench.remaining(), Some(25 * SECOND));
        assert_eq!(bench.expire(), None, "and the next ping is due");
        assert_eq!(bench.sent(), plain(FIN | PING, b""));
    }
    let mut bench = Bench::server();
    bench.now += 5 * SECOND;
    bench.receive(&mut &b""[..]).unwrap();
    assert_eq!(
        bench.remaining(),
        Some(20 * SECOND),
        "an empty input does not reset the timer"
    );
}

#[test]
fn pings_can_be_switched_off() {
    let bench = Bench::server_with(Limits::default().ping_interval(Duration::ZERO));
    assert_eq!(bench.remaining(), None);
    let bench = Bench::server_with(Limits::default().ping_interval(Duration::MAX));
    assert_eq!(bench.remaining(), None, "longer than the clock can show");
}

/// A peer that does not answer, or sends on, has 5 s in all (`docs/threats.md#unanswered-close`).
#[test]
fn a_close_frame_must_be_answered_in_time() {
    let mut bench = Bench::server();
    bench.now += SECOND;
    bench
        .connection
        .close(CloseCode::NORMAL, "", bench.now, &mut bench.out)
        .unwrap();
    assert_eq!(bench.sent(), plain(FIN | CLOSE, &closing(1000, b"")));
    bench.now += 3 * SECOND;
    assert_eq!(bench.receive_all(&masked(FIN | TEXT, b"more")), Ok(Event::NeedData));
    assert_eq!(bench.remaining(), Some(2 * SECOND));
    assert_eq!(bench.expire(), Some(Expired::Close));
    assert!(bench.connection.is_over());
    assert_eq!(bench.remaining(), None);
    assert_eq!(bench.sent(), b"");
}

#[test]
fn a_server_need_not_wait_once_both_have_closed() {
    let mut bench = Bench::server();
    bench.receive_all(&masked(FIN | CLOSE, b"")).unwrap();
    assert_eq!(bench.remaining(), None);
    let mut bench = Bench::server();
    bench.receive_all(&masked(FIN | 3, b"")).unwrap_err();
    assert_eq!(bench.remaining(), None);
}

#[test]
fn a_ping_that_was_not_sent_in_time_is_not_sent_at_all() {
    let mut bench = Bench::server();
    assert_eq!(bench.expire(), None);
    bench.receive_all(&masked(FIN | CLOSE, &closing(1000, b""))).unwrap();
    assert_eq!(bench.sent(), plain(FIN | CLOSE, &closing(1000, b"")));
}
