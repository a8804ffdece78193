//! Deadlines: what a slow peer loses, and when.

use super::super::Expired;
use super::wire::*;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Waits until just before a deadline and checks that it is the next one, then passes it.
fn pass(bench: &mut Bench, after: Duration) -> Option<Expired> {
    assert_eq!(bench.connection.poll_deadline(), Some(bench.now + after));
    bench.wait(after - Duration::from_millis(1));
    assert_eq!(bench.connection.handle_deadline(bench.now, &mut bench.out), None);
    bench.wait(Duration::from_millis(1));
    bench.connection.handle_deadline(bench.now, &mut bench.out)
}

fn code(expired: Option<Expired>) -> ErrorCode {
    match expired {
        Some(Expired::Connection(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_preface_and_the_first_settings_have_ten_seconds() {
    let preface = first_bytes();
    for end in [0, 10, 24, 30] {
        let mut bench = Bench::new();
        bench.receive_all(&preface[..end]);
        assert_eq!(
            code(pass(&mut bench, 10 * SECOND)),
            ErrorCode::PROTOCOL_ERROR,
            "{end} bytes"
        );
        assert!(bench.connection.is_finished());
    }
}

#[test]
fn settings_must_be_acknowledged() {
    let mut bench = Bench::new();
    bench.receive_all(&first_bytes()[..24 + 9]);
    assert_eq!(code(pass(&mut bench, 10 * SECOND)), ErrorCode::SETTINGS_TIMEOUT);
}

/// One clock for a block with all its continuations, however steadily they come.
#[test]
fn a_header_block_has_ten_seconds() {
    let mut bench = Bench::begun();
    let block = block(&GET);
    bench.receive_all(&frame(1, 1, 1, &block[..4])[..10]);
    for _ in 0..9 {
        bench.wait(SECOND);
        assert_eq!(bench.connection.handle_deadline(bench.now, &mut bench.out), None);
    }
    let began = bench.now - 9 * SECOND;
    assert_eq!(bench.connection.poll_deadline(), Some(began + 10 * SECOND));
    assert_eq!(code(pass(&mut bench, SECOND)), ErrorCode::PROTOCOL_ERROR);
}

#[test]
fn an_idle_connection_ends_without_an_error() {
    let mut bench = Bench::begun();
    let stream = bench.request(&get(1));
    assert_eq!(bench.connection.poll_deadline(), None, "the peer owes nothing");
    bench.respond(stream);
    bench.out.clear();
    assert_eq!(pass(&mut bench, 75 * SECOND), Some(Expired::Idle));
    let sent = bench.sent();
    assert_eq!(sent[0].payload, [0, 0, 0, 1, 0, 0, 0, 0]);
    assert!(bench.connection.is_finished());
}

#[test]
fn content_that_stops_or_trickles_fails_while_it_is_awaited() {
    let mut bench = Bench::begun();
    let stream = bench.request(&post(1));
    assert_eq!(bench.connection.poll_deadline(), None, "the handler does not wait");
    bench.connection.set_awaited(stream, true, bench.now);
    // The rate applies after 20 s.
    assert_eq!(pass(&mut bench, 20 * SECOND), Some(Expired::Content(stream)));
    assert_eq!(bench.connection.poll_deadline(), None);
    bench.check_quiescent();

    let mut bench = Bench::begun_with(Limits {
        min_body_rate: 0,
        ..Limits::default()
    });
    let stream = bench.request(&post(1));
    bench.connection.set_awaited(stream, true, bench.now);
    bench.wait(29 * SECOND);
    bench.receive_all(&data(1, false, b"x"));
    assert_eq!(pass(&mut bench, 30 * SECOND), Some(Expired::Content(stream)));
    bench.check_quiescent();
}

#[test]
fn c12_a_stream_without_progress_is_reset() {
    let mut bench = Bench::begun();
    bench.receive_all(&[settings(&[(4, 0)])].concat());
    let stream = bench.request(&get(1));
    bench.begin_response(stream, 1 << 20);
    assert_eq!(bench.pump(usize::MAX), []);
    bench.out.clear();
    // A byte a second is below the minimum.
    for _ in 0..9 {
        bench.wait(SECOND);
        assert_eq!(bench.connection.handle_deadline(bench.now, &mut bench.out), None);
        bench.receive_all(&window_update(1, 1));
        assert_eq!(bench.pump(usize::MAX), [(1, 1)]);
    }
    bench.wait(SECOND);
    let expired = bench.connection.handle_deadline(bench.now, &mut bench.out);
    assert_eq!(expired, Some(Expired::Stream(stream)));
    let last = bench.sent().pop().unwrap();
    assert_eq!(
        (last.kind, last.payload),
        (3, ErrorCode::ENHANCE_YOUR_CALM.0.to_be_bytes().to_vec())
    );
    bench.connection.release(stream, bench.now, &mut bench.out);
    bench.check_quiescent();
}

/// A window that was open, and is used up in the middle of the content.
#[test]
fn c12_a_stream_whose_window_is_used_up_is_reset() {
    let mut bench = Bench::begun();
    let stream = bench.request(&get(1));
    bench.begin_response(stream, 100_000);
    assert_eq!(
        bench.pump(usize::MAX).iter().map(|(_, bytes)| bytes).sum::<usize>(),
        65_535
    );
    // What it took before counts for the first ten seconds.
    assert_eq!(pass(&mut bench, Duration::from_secs(10)), None);
    assert_eq!(pass(&mut bench, Duration::from_secs(10)), Some(Expired::Stream(stream)));
    bench.check_quiescent();
}

#[test]
fn a_stream_that_moves_a_kibibyte_in_ten_seconds_goes_on() {
    for (bytes, goes_on) in [(1023, false), (1024, true), (1025, true)] {
        let mut bench = Bench::begun();
        bench.receive_all(&settings(&[(4, 0)]));
        let stream = bench.request(&get(1));
        bench.begin_response(stream, 1 << 20);
        bench.receive_all(&window_update(1, bytes));
        bench.pump(usize::MAX);
        bench.wait(10 * SECOND);
        let expired = bench.connection.handle_deadline(bench.now, &mut bench.out);
        assert_eq!(expired.is_none(), goes_on, "{bytes}");
        bench.check_quiescent();
    }
}

#[test]
fn a_connection_on_which_nothing_moves_for_a_minute_ends() {
    let mut bench = Bench::begun();
    bench.receive_all(&settings(&[(4, 1 << 20)]));
    let stream = bench.request(&get(1));
    bench.begin_response(stream, 1 << 20);
    bench.pump(usize::MAX);
    assert_eq!(bench.pump(usize::MAX), [], "the window of the connection is used up");
    assert_eq!(code(pass(&mut bench, 60 * SECOND)), ErrorCode::ENHANCE_YOUR_CALM);
}

/// An event stream may have nothing to send for any time.
#[test]
fn a_silent_stream_has_no_deadline() {
    let mut bench = Bench::begun();
    bench.receive_all(&settings(&[(4, 0)]));
    let stream = bench.request(&get(1));
    bench.send_head(stream, &ResponseHead::new(StatusCode::OK), None, false);
    assert_eq!(bench.connection.poll_deadline(), None);
    bench.check_quiescent();
}
