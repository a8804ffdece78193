//! What one exchange means for the next: persistence, expectations, unread content, upgrades, the end.

use super::super::{BodyLength, Event, Next, ParseError, SendError};
use super::Bench;
use crate::message::{HeaderValue, ResponseHead, StatusCode, header};

impl Bench {
    fn receive_canary(&mut self) -> Result<Event<'static>, ParseError> {
        let mut canary = super::CANARY;
        self.receive(&mut canary)
    }
}

const OK: &[u8] = b"ok";

/// Sends a complete 200 and turns over; returns whether the head promised to persist, and what follows.
fn turn_over(bench: &mut Bench) -> (bool, Next) {
    let promised = bench.connection.persists();
    bench.respond(StatusCode::OK, OK);
    let says_close = bench.sent().contains("\r\nConnection: close\r\n");
    assert_eq!(
        bench.connection.persists(),
        promised,
        "the prediction before the head is right"
    );
    bench.out.clear();
    (says_close, bench.connection.next_exchange(bench.now))
}

/// RFC 9112 §9.3, §9.6, RFC 9110 §7.6.1.
#[test]
fn persistence_by_version_and_connection_options() {
    for (line, fields, says_close, next) in [
        ("GET / HTTP/1.1", "", false, Next::KeepAlive),
        ("GET / HTTP/1.1", "Connection: keep-alive\r\n", false, Next::KeepAlive),
        ("GET / HTTP/1.1", "Connection: close\r\n", true, Next::Close),
        ("GET / HTTP/1.1", "Connection: CLOSE\r\n", true, Next::Close),
        ("GET / HTTP/1.1", "Connection: x , close,\r\n", true, Next::Close),
        (
            "GET / HTTP/1.1",
            "Connection: x\r\nConnection: close\r\n",
            true,
            Next::Close,
        ),
        ("GET / HTTP/1.1", "Connection: keep-alive, close\r\n", true, Next::Close),
        (
            "GET / HTTP/1.1",
            "Connection: closed, xclose, \"close\"\r\n",
            false,
            Next::KeepAlive,
        ),
        ("GET / HTTP/1.0", "", false, Next::Close),
        ("GET / HTTP/1.0", "Connection: x\r\n", false, Next::Close),
        ("GET / HTTP/1.0", "Connection: Keep-Alive\r\n", false, Next::KeepAlive),
        (
            "GET / HTTP/1.0",
            "Connection: x, keep-alive\r\n",
            false,
            Next::KeepAlive,
        ),
        (
            "GET / HTTP/1.0",
            "Connection: keep-alive, close\r\n",
            false,
            Next::Close,
        ),
        ("HEAD / HTTP/1.0", "Connection: keep-alive\r\n", false, Next::KeepAlive),
        ("POST / HTTP/1.0", "Connection: keep-alive\r\n", false, Next::Close),
        (
            "POST / HTTP/1.0",
            "Connection: keep-alive\r\nContent-Length: 0\r\n",
            false,
            Next::KeepAlive,
        ),
    ] {
        let mut bench = Bench::after(&format!("{line}\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(turn_over(&mut bench), (says_close, next), "{line} {fields}");
    }
}

/// Pipelined requests wait: nothing behind a complete request is read before its response has been sent.
#[test]
fn pipelined_requests_are_blocked() {
    let both = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\0garbage";
    let mut input = both.as_bytes();
    let mut bench = Bench::new();
    assert_eq!(bench.receive(&mut input), Ok(Event::Request));
    assert_eq!(bench.receive(&mut input), Ok(Event::End));
    for _ in 0..2 {
        assert_eq!(bench.receive(&mut input), Ok(Event::Blocked));
        assert_eq!(input, b"\0garbage");
    }
    assert_eq!(turn_over(&mut bench), (false, Next::KeepAlive));
    assert_eq!(bench.receive(&mut input), Err(ParseError::RequestLine));
}

/// A driver need not fetch the end event of empty content.
#[test]
fn an_exchange_may_end_without_its_end_event() {
    let mut bench = Bench::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(bench.connection.is_request_complete());
    assert_eq!(turn_over(&mut bench), (false, Next::KeepAlive));
    assert!(bench.connection.is_idle());
    assert_eq!(
        bench.receive_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Ok(Event::Request)
    );
}

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n";

/// RFC 9110 §10.1.1.
#[test]
fn continue_is_sent_once_and_only_if_asked_for() {
    let mut bench = Bench::after(EXPECTING);
    assert!(bench.connection.expects_continue());
    assert!(bench.connection.send_continue(bench.now, &mut bench.out));
    assert!(!bench.connection.expects_continue());
    assert!(!bench.connection.send_continue(bench.now, &mut bench.out));
    assert_eq!(bench.sent(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(bench.receive_all(b"hello"), Ok(Event::Data(b"hello")));
    assert_eq!(turn_over(&mut bench), (false, Next::KeepAlive));

    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.0\r\nExpect: anything\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut bench = Bench::after(request);
        assert!(!bench.connection.send_continue(bench.now, &mut bench.out), "{request}");
        assert_eq!(bench.out, b"", "{request}");
    }
}

#[test]
fn continue_is_not_sent_after_content_or_a_response_has_begun() {
    let mut bench = Bench::after(EXPECTING);
    assert_eq!(bench.receive_all(b"h"), Ok(Event::Data(b"h")));
    assert!(!bench.connection.send_continue(bench.now, &mut bench.out));

    let mut bench = Bench::after(EXPECTING);
    bench.send_head(&ResponseHead::default(), BodyLength::Known(0)).unwrap();
    let before = bench.out.len();
    assert!(!bench.connection.send_continue(bench.now, &mut bench.out));
    assert_eq!(bench.out.len(), before);

    let mut bench = Bench::after(EXPECTING);
    bench
        .send_head(&ResponseHead::new(StatusCode::CONTINUE), BodyLength::Known(0))
        .unwrap();
    assert_eq!(bench.sent(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(
        !bench.connection.send_continue(bench.now, &mut bench.out),
        "an interim head counts"
    );
}

/// After an early final response, the meaning of the next bytes is unknown.
#[test]
fn an_early_answer_to_an_expectation_closes_unless_all_content_is_there() {
    for (content, says_close, next) in [
        ("", true, Next::Close),
        ("hell", true, Next::Close),
        ("hello", false, Next::KeepAlive),
    ] {
        let mut bench = Bench::after(EXPECTING);
        if !content.is_empty() {
            assert_eq!(
                bench.receive_all(content.as_bytes()),
                Ok(Event::Data(content.as_bytes()))
            );
        }
        assert_eq!(turn_over(&mut bench), (says_close, next), "{content}");
        let canary = if next == Next::Close {
            Ok(Event::Closed)
        } else {
            Ok(Event::Request)
        };
        assert_eq!(bench.receive_canary(), canary, "{content}");
    }
}

/// Unread content within the limit is discarded; the same call then reads the next request.
#[test]
fn unread_content_is_drained() {
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(bench.connection.content_remaining(), Some(5));
    assert_eq!(bench.receive_all(b"he"), Ok(Event::Data(b"he")));
    assert_eq!(bench.connection.content_remaining(), Some(3));
    assert_eq!(turn_over(&mut bench), (false, Next::Drain));
    assert!(!bench.connection.is_idle());
    assert_eq!(bench.receive_all(b"l"), Ok(Event::NeedData));
    let mut input = b"loGET /next HTTP/1.1\r\nHost: a\r\n\r\n".as_slice();
    assert_eq!(bench.receive(&mut input), Ok(Event::Request));
    assert_eq!(bench.head.target(), "/next");
}

#[test]
fn turning_over_twice_changes_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.connection.next_exchange(bench.now), Next::KeepAlive);
    assert!(bench.connection.is_idle());
    assert_eq!(
        bench.receive_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"),
        Ok(Event::Request)
    );
    assert_eq!(turn_over(&mut bench), (false, Next::Drain));
    assert_eq!(bench.connection.next_exchange(bench.now), Next::Drain);
    assert_eq!(bench.receive_all(b"hello"), Ok(Event::NeedData));
    assert_eq!(bench.connection.next_exchange(bench.now), Next::KeepAlive);
    assert_eq!(bench.receive_canary(), Ok(Event::Request));
}

/// Malformed content ends the connection while it is discarded; its response has already been sent.
#[test]
fn malformed_unread_content_closes() {
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(turn_over(&mut bench), (false, Next::Drain));
    assert_eq!(bench.receive(&mut b"X\r\n".as_slice()), Ok(Event::Closed));
    assert!(!bench.connection.is_responding());
    assert_eq!(bench.receive_canary(), Ok(Event::Closed));
}

/// A response that began before its request failed is completed, and nothing follows it.
#[test]
fn a_response_is_completed_after_its_content_was_rejected() {
    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    bench.send_head(&ResponseHead::default(), BodyLength::Known(2)).unwrap();
    assert_eq!(bench.receive(&mut b"X\r\n".as_slice()), Err(ParseError::ChunkSize));
    assert!(bench.connection.is_head_sent());
    assert_eq!(
        bench.send_head(&ResponseHead::new(StatusCode::BAD_REQUEST), BodyLength::Known(0)),
        Err(SendError::HeadAlreadySent)
    );
    assert!(!bench.connection.persists());
    bench.send_data(OK).unwrap();
    bench.send_end().unwrap();
    assert_eq!(bench.connection.next_exchange(bench.now), Next::Close);
}

/// After an error in the middle of content, the response reports the error.
#[test]
fn refused_content_is_answered_by_the_refusal() {
    for (version, line) in [("1.1", "Connection: close\r\n"), ("1.0", "")] {
        let mut bench = Bench::after(&format!(
            "POST / HTTP/{version}\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n"
        ));
        assert_eq!(bench.connection.receive_eof(), Err(ParseError::Truncated));
        bench.respond(StatusCode::BAD_REQUEST, OK);
        assert_eq!(
            bench.sent(),
            format!("HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n{line}\r\nok")
        );
        assert_eq!(bench.connection.next_exchange(bench.now), Next::Close);
    }
}

#[test]
fn the_end_of_input() {
    let mut bench = Bench::new();
    assert_eq!(bench.connection.receive_eof(), Ok(()));
    assert_eq!(bench.receive_all(b""), Ok(Event::Closed));
    assert!(!bench.connection.is_responding());

    let mut bench = Bench::new();
    assert_eq!(bench.receive(&mut b"G".as_slice()), Ok(Event::NeedData));
    assert_eq!(bench.connection.receive_eof(), Err(ParseError::Truncated));
    assert!(bench.connection.is_responding());

    let mut bench = Bench::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(bench.connection.receive_eof(), Ok(()));
    assert_eq!(turn_over(&mut bench), (true, Next::Close));

    let mut bench = Bench::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(turn_over(&mut bench), (false, Next::Drain));
    assert_eq!(bench.connection.receive_eof(), Ok(()));
    assert_eq!(bench.receive_all(b""), Ok(Event::Closed));
}

/// A graceful stop: the next head sends `close`; if a head already promised to persist, one more request is answered.
#[test]
fn close_after_response() {
    let mut bench = Bench::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    bench.connection.close_after_response();
    assert_eq!(turn_over(&mut bench), (true, Next::Close));

    let mut bench = Bench::after("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    bench.send_head(&ResponseHead::default(), BodyLength::Known(0)).unwrap();
    bench.connection.close_after_response();
    bench.send_end().unwrap();
    bench.out.clear();
    assert_eq!(bench.connection.next_exchange(bench.now), Next::KeepAlive);
    assert_eq!(
        bench.receive_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Ok(Event::Request)
    );
    assert_eq!(turn_over(&mut bench), (true, Next::Close));
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

fn switching() -> ResponseHead {
    let mut head = ResponseHead::new(StatusCode::SWITCHING_PROTOCOLS);
    head.headers.set(header::UPGRADE, HeaderValue::from_static("websocket"));
    head.headers
        .set(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    head
}

/// RFC 9110 §7.8: after 101 the bytes belong to the other protocol.
#[test]
fn after_101_bytes_are_handed_over_untouched() {
    let bytes = [UPGRADE.as_bytes(), super::CANARY].concat();
    let mut input = bytes.as_slice();
    let mut bench = Bench::new();
    assert_eq!(bench.receive(&mut input), Ok(Event::Request));
    assert_eq!(bench.receive(&mut input), Ok(Event::End));
    bench.send_head(&switching(), BodyLength::Unknown).unwrap();
    assert_eq!(
        bench.sent(),
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    );
    assert_eq!(bench.receive(&mut input), Ok(Event::Upgraded));
    assert_eq!(input, super::CANARY);
    assert_eq!(bench.connection.next_exchange(bench.now), Next::Upgraded);
    assert_eq!(bench.receive(&mut input), Ok(Event::Upgraded));
    assert!(!bench.connection.persists());
}

/// The protocol changes only at 101; a declined upgrade leaves an ordinary request.
#[test]
fn a_declined_upgrade_changes_nothing() {
    for fields in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade:\r\n",
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut input = bytes.as_bytes();
        let mut bench = Bench::new();
        assert_eq!(bench.receive(&mut input), Ok(Event::Request));
        assert_eq!(turn_over(&mut bench), (false, Next::KeepAlive), "{fields}");
        assert_eq!(bench.receive(&mut input), Ok(Event::Request));
        assert_eq!(bench.head.target(), "/next", "{fields}");
    }
}

#[test]
fn an_unrequested_101_is_the_applications_mistake() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade:\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\n",
    ] {
        let mut bench = Bench::after(request);
        assert_eq!(
            bench.send_head(&switching(), BodyLength::Unknown),
            Err(SendError::UpgradeNotAsked),
            "{request}"
        );
        assert_eq!(bench.out, b"", "{request}");
        bench.respond(StatusCode::NOT_IMPLEMENTED, OK);
    }
}

/// RFC 9112 §3.2: each request names its own host, in a reused head as well as in a fresh one.
#[test]
fn an_authority_is_never_that_of_the_request_before() {
    let mut bench = Bench::new();
    for (request, authority) in [
        ("GET / HTTP/1.1\r\nHost: a:80\r\n\r\n", "a:80"),
        ("GET / HTTP/1.1\r\nHost: a:80\r\n\r\n", "a:80"),
        ("GET / HTTP/1.1\r\nHost: A:80\r\n\r\n", "A:80"),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: A:80\r\n\r\n", "A:80"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "a"),
        ("GET http://A/ HTTP/1.1\r\nHost: a\r\n\r\n", "A"),
        ("GET / HTTP/1.1\r\nHost: A\r\n\r\n", "A"),
        ("GET http://b/ HTTP/1.1\r\nHost: A\r\n\r\n", "b"),
        ("GET http://c/ HTTP/1.1\r\nHost: b\r\n\r\n", "c"),
        ("GET / HTTP/1.1\r\nHost: b\r\n\r\n", "b"),
        ("GET http://d/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "d"),
    ] {
        assert_eq!(bench.receive_all(request.as_bytes()), Ok(Event::Request), "{request}");
        assert_eq!(bench.head.authority(), authority, "{request}");
        bench.respond(StatusCode::OK, b"");
        assert_eq!(bench.connection.next_exchange(bench.now), Next::KeepAlive);
    }
    let mut input: &[u8] = b"GET / HTTP/1.1\r\nHost: A,\r\n\r\n";
    assert_eq!(bench.receive(&mut input), Err(ParseError::HostInvalid));
}
