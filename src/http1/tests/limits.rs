//! Every limit at one below, at, and one above its value, with the head whole and split.

use super::super::{Event, Limits, Next, ParseError};
use super::transcript::{self, Answer, Outcome, Seen};
use crate::message::StatusCode;

/// Limits small enough to try every two-way split of inputs that exceed them.
fn small() -> Limits {
    Limits::default()
        .max_target_bytes(27)
        .max_header_bytes(120)
        .max_header_count(4)
        .max_header_name_bytes(16)
        .max_chunk_extension_bytes(10)
        .max_trailer_bytes(40)
        .max_trailer_count(2)
}

fn with_room_for_transfer_encoding() -> Limits {
    Limits {
        max_header_name_bytes: "Transfer-Encoding".len(),
        ..small()
    }
}

#[track_caller]
fn check(bytes: &[u8], limits: &Limits, error: Option<ParseError>) -> Outcome {
    let outcome = transcript::run(bytes, limits);
    assert_eq!(outcome.error, error, "{}", bytes.escape_ascii());
    assert_eq!(
        outcome.events.contains(&Seen::End),
        error.is_none(),
        "{}",
        bytes.escape_ascii()
    );
    outcome
}

/// Returns what sizes one below, at and one above a limit must yield.
fn around(limit: usize, error: ParseError) -> [(usize, Option<ParseError>); 3] {
    [(limit - 1, None), (limit, None), (limit + 1, Some(error))]
}

#[test]
fn target_bytes() {
    for (size, error) in around(27, ParseError::TargetTooLong) {
        let target = "a".repeat(size - "/".len());
        check(
            format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
            &small(),
            error,
        );
    }
}

#[test]
fn header_bytes() {
    for (size, error) in around(120, ParseError::HeadTooLarge) {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
        let value = "a".repeat(size - head.len());
        check(head.replace("X: ", &format!("X: {value}")).as_bytes(), &small(), error);
    }
}

#[test]
fn header_count() {
    for (count, error) in around(4, ParseError::TooManyFields) {
        let fields = "X: a\r\n".repeat(count - 1);
        check(
            format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes(),
            &small(),
            error,
        );
    }
}

#[test]
fn header_name_bytes() {
    for (size, error) in around(16, ParseError::FieldNameTooLong) {
        let name = "n".repeat(size);
        check(
            format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: b\r\n\r\n").as_bytes(),
            &small(),
            error,
        );
    }
}

#[test]
fn trailer_name_bytes() {
    let limits = with_room_for_transfer_encoding();
    for (size, error) in around(17, ParseError::FieldNameTooLong) {
        let name = "n".repeat(size);
        let request = format!("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{name}: b\r\n\r\n");
        check(request.as_bytes(), &limits, error);
    }
}

#[test]
fn chunk_extension_bytes_count_over_all_chunks() {
    for (size, error) in around(10, ParseError::ChunkExtensionsTooLarge) {
        let extension = "e".repeat(size - 4);
        let content = format!("1; \r\na\r\n1 ;{extension}\r\nb\r\n0\r\n\r\n");
        let request = format!("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{content}");
        check(request.as_bytes(), &with_room_for_transfer_encoding(), error);
    }
}

#[test]
fn trailer_bytes_and_count() {
    let limits = with_room_for_transfer_encoding();
    let request = |trailers: &str| {
        format!("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{trailers}\r\n").into_bytes()
    };
    for (size, error) in around(40, ParseError::TrailersTooLarge) {
        let value = "v".repeat(size - "A: a\r\nB: \r\n\r\n".len());
        check(&request(&format!("A: a\r\nB: {value}\r\n")), &limits, error);
    }
    for (count, error) in around(2, ParseError::TooManyTrailers) {
        check(&request(&"A: a\r\n".repeat(count)), &limits, error);
    }
}

/// The defaults are the documented numbers.
#[test]
fn default_limits_refuse_with_their_status() {
    let head = |line: &str, fields: &str| format!("GET /{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
    let chunked = |content: &str| [head("", "Transfer-Encoding: chunked\r\n"), content.into()].concat();
    for (bytes, status) in [
        (head(&"a".repeat(8192 - 1), ""), None),
        (head(&"a".repeat(8192), ""), Some(414)),
        (head(&"a".repeat(1 << 20), ""), Some(414)),
        (head("", &format!("X: {}\r\n", "a".repeat(32768 - 32))), None),
        (head("", &format!("X: {}\r\n", "a".repeat(32768 - 31))), Some(431)),
        (head("", &format!("X: {}", "a".repeat(1 << 20))), Some(431)),
        (head("", &"X: a\r\n".repeat(99)), None),
        (head("", &"X: a\r\n".repeat(100)), Some(431)),
        (head("", &"X: a\r\n".repeat(10_000)), Some(431)),
        (head("", &format!("{}: a\r\n", "n".repeat(256))), None),
        (head("", &format!("{}: a\r\n", "n".repeat(257))), Some(431)),
        (head("", &format!("{}: a\r\n", "n".repeat(65_535))), Some(431)),
        (head("", &"n".repeat(1 << 20)), Some(431)),
        (chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "e".repeat(4095))), None),
        (chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "e".repeat(4096))), Some(400)),
        (
            chunked(&format!("1;{}\r\na\r\n", "e".repeat(4000)).repeat(2)),
            Some(400),
        ),
        (
            chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "e".repeat(1 << 16))),
            Some(400),
        ),
        (chunked(&format!("0\r\nX: {}\r\n\r\n", "a".repeat(16384 - 7))), None),
        (
            chunked(&format!("0\r\nX: {}\r\n\r\n", "a".repeat(16384 - 6))),
            Some(431),
        ),
        (chunked(&format!("0\r\n{}\r\n", "X: a\r\n".repeat(64))), None),
        (chunked(&format!("0\r\n{}\r\n", "X: a\r\n".repeat(65))), Some(431)),
    ] {
        let pieces: [&[&[u8]]; 2] = [&[&bytes], &bytes.chunks(1000).collect::<Vec<_>>()];
        for pieces in pieces {
            let outcome = transcript::run_pieces(pieces.iter().copied(), &Limits::default(), Answer::AfterEnd);
            let got = outcome.error.map(|error| error.status().as_u16());
            assert_eq!(got, status, "{} bytes", bytes.len());
        }
    }
}

/// A head that must exceed its limit is rejected before its end arrives.
#[test]
fn limits_hold_while_a_head_is_incomplete() {
    let limits = small();
    for (bytes, error) in [
        (format!("GET /{}", "a".repeat(36)), ParseError::TargetTooLong),
        (
            format!("GET / HTTP/1.1\r\n{}", "n".repeat(17)),
            ParseError::FieldNameTooLong,
        ),
        (
            format!("GET / HTTP/1.1\r\nX: {}\r\n{}", "a".repeat(20), "n".repeat(17)),
            ParseError::FieldNameTooLong,
        ),
        (
            format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(102)),
            ParseError::HeadTooLarge,
        ),
        (
            format!("GET / HTTP/1.1\r\n{}", "X: a\r\n".repeat(5)),
            ParseError::TooManyFields,
        ),
    ] {
        let outcome = transcript::run(bytes.as_bytes(), &limits);
        assert_eq!(outcome.error, Some(error), "{bytes}");
        assert_eq!(
            transcript::run(&bytes.as_bytes()[..bytes.len() - 1], &limits).error,
            None,
            "{bytes}"
        );
    }
}

/// Unread content is discarded up to the limit, and nothing inside it ever becomes a request.
#[test]
fn drain_bytes() {
    let limits = Limits::default().max_drain_bytes(50);
    let canary = "GET /canary HTTP/1.1\r\nHost: a\r\n\r\n";
    for (size, next) in [(49, Next::Drain), (50, Next::Drain), (51, Next::Close)] {
        let content = &canary.repeat(2)[..size];
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{content}");
        let bytes = [request.as_bytes(), b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        for pieces in [
            vec![bytes.as_slice()],
            bytes.chunks(1).collect(),
            bytes.chunks(7).collect(),
        ] {
            let outcome = transcript::run_pieces(pieces, &limits, Answer::AtOnce);
            assert_eq!(outcome.events.get(1), Some(&Seen::Next(next)), "{size}");
            assert!(!outcome.has_reached("/canary"), "{size}");
            assert_eq!(outcome.has_reached("/after"), next == Next::Drain, "{size}");
        }
    }
}

/// Content the application has read does not count as discarded.
#[test]
fn drain_bytes_begin_with_the_drain() {
    let mut bench = super::Bench::with(Limits::default().max_drain_bytes(10));
    let mut input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n0123456789".as_slice();
    assert_eq!(bench.receive(&mut input), Ok(Event::Request));
    assert_eq!(bench.receive(&mut input), Ok(Event::Data(b"0123456789")));
    bench.respond(StatusCode::OK, b"");
    assert_eq!(bench.connection.next_exchange(bench.now), Next::Drain);
    assert_eq!(bench.receive_all(b"012345678"), Ok(Event::NeedData));
    assert_eq!(bench.receive_all(b"9"), Ok(Event::NeedData));
    assert!(bench.connection.is_idle());
}

/// Chunked content has no length up front, so the limit applies while it arrives, framing included.
#[test]
fn drain_bytes_of_chunked_content() {
    for (budget, reaches) in [(100, true), (20, false)] {
        let limits = Limits::default().max_drain_bytes(budget);
        let bytes = [
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(),
            b"21\r\n",
            super::CANARY,
            b"\r\n0\r\nX: y\r\n\r\nGET /after HTTP/1.1\r\nHost: a\r\n\r\n",
        ]
        .concat();
        for pieces in [
            vec![bytes.as_slice()],
            bytes.chunks(1).collect(),
            bytes.chunks(7).collect(),
        ] {
            let outcome = transcript::run_pieces(pieces, &limits, Answer::AtOnce);
            assert_eq!((outcome.error, outcome.has_reached("/canary")), (None, false));
            assert_eq!(outcome.has_reached("/after"), reaches, "{budget}");
            assert_eq!(outcome.events.contains(&Seen::Closed), !reaches, "{budget}");
        }
    }
}

/// The size announced by a chunk counts, so the connection never waits for content beyond the limit.
#[test]
fn drain_bytes_count_what_a_chunk_announces() {
    let limits = Limits::default().max_drain_bytes(50);
    for (size, next) in [("32", Next::Drain), ("33", Next::Close)] {
        let mut bench = super::Bench::with(limits.clone());
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(bench.receive_all(head), Ok(Event::Request));
        assert_eq!(bench.receive_all(format!("{size}\r\n").as_bytes()), Ok(Event::NeedData));
        let announced = u64::from_str_radix(size, 16).unwrap();
        assert_eq!(bench.connection.content_announced(), announced);
        assert_eq!(bench.connection.persists(), next == Next::Drain, "the response says so");
        bench.respond(StatusCode::OK, b"");
        assert_eq!(bench.connection.next_exchange(bench.now), next, "{size}");
    }
    // This content is read only while it is discarded.
    let mut bench = super::Bench::with(limits);
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(bench.receive_all(request), Ok(Event::Request));
    bench.respond(StatusCode::OK, b"");
    assert_eq!(bench.connection.next_exchange(bench.now), Next::Drain);
    assert_eq!(
        bench.receive_all(b"30\r\n"),
        Ok(Event::Closed),
        "48 bytes and 4 of framing are more than 50"
    );
}

/// A chunk's bytes are known once its size line has ended, and only the rest of the current chunk.
#[test]
fn a_chunk_announces_its_bytes_once_its_size_line_has_ended() {
    let mut bench = super::Bench::after("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (bytes, event, announced) in [
        ("1", Event::NeedData, 0),
        ("0;x", Event::NeedData, 0),
        ("\r", Event::NeedData, 0),
        ("\n", Event::NeedData, 16),
        ("12345", Event::Data(b"12345"), 11),
        ("12345678901", Event::Data(b"12345678901"), 0),
        ("\r\nff", Event::NeedData, 0),
        ("\r\n", Event::NeedData, 255),
    ] {
        assert_eq!(bench.receive_all(bytes.as_bytes()), Ok(event), "{bytes:?}");
        assert_eq!(bench.connection.content_announced(), announced, "{bytes:?}");
    }
}
