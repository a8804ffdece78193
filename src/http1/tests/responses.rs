//! The bytes of responses, one by one.

use super::super::{BodyLength, Event, Next, ParseError, SendError};
use super::{Bench, date};
use crate::message::{HeaderName, HeaderValue, Headers, HttpDate, ResponseHead, StatusCode, header};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_1_0: &str = "GET / HTTP/1.0\r\n\r\n";
const GET_1_0_KEPT: &str = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";

fn head(status: u16, fields: &[(HeaderName, &'static str)]) -> ResponseHead {
    let mut head = ResponseHead::new(StatusCode::from_u16(status).unwrap());
    for (name, value) in fields {
        head.headers.add(name.clone(), HeaderValue::from_static(value));
    }
    head
}

/// Returns the response to `request` when an application sends this head, `one` and `two`, and the end.
fn answer(request: &str, head: &ResponseHead, length: BodyLength) -> (String, Next) {
    let mut bench = Bench::after(request);
    bench.send_head(head, length).unwrap();
    for data in [b"one".as_slice(), b"", b"two"] {
        bench.send_data(data).unwrap();
    }
    bench.send_end().unwrap();
    (bench.sent(), bench.connection.next_exchange(bench.now))
}

#[test]
fn a_head_is_written_in_the_order_its_fields_were_set() {
    let mut bench = Bench::after(GET);
    let head = head(
        200,
        &[
            (header::CONTENT_TYPE, "text/plain"),
            (header::ETAG, "\"x\""),
            (header::CONTENT_TYPE, "b/c"),
        ],
    );
    bench.send_head(&head, BodyLength::Known(0)).unwrap();
    let expected = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\netag: \"x\"\r\ncontent-type: b/c\r\n\
        Content-Length: 0\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
    assert_eq!(str::from_utf8(&bench.out), Ok(expected));
}

#[test]
fn the_applications_date_is_kept() {
    let mut bench = Bench::after(GET);
    bench
        .send_head(&head(200, &[(header::DATE, "then")]), BodyLength::Known(0))
        .unwrap();
    let expected = "HTTP/1.1 200 OK\r\ndate: then\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(str::from_utf8(&bench.out), Ok(expected));
}

#[test]
fn content_that_the_caller_sends_itself_counts_toward_the_length() {
    let mut bench = Bench::after(GET);
    bench.send_head(&head(200, &[]), BodyLength::Known(6)).unwrap();
    let written = bench.out.len();
    assert_eq!(bench.connection.send_unframed(4), Ok(true));
    assert_eq!(bench.connection.send_unframed(3), Err(SendError::BodyTooLong));
    assert_eq!(bench.out.len(), written);
    bench.send_data(b"ef").unwrap();
    bench.send_end().unwrap();
    // Chunks have framing of their own; content up to the close has none.
    for (request, unframed) in [(GET, false), (GET_1_0, true)] {
        let mut bench = Bench::after(request);
        bench.send_head(&head(200, &[]), BodyLength::Unknown).unwrap();
        assert_eq!(bench.connection.send_unframed(4), Ok(unframed), "{request}");
    }
}

/// RFC 9112 §4: the space stays even without a reason phrase.
#[test]
fn status_lines() {
    for (status, line) in [
        (200, "HTTP/1.1 200 OK\r\n"),
        (404, "HTTP/1.1 404 Not Found\r\n"),
        (299, "HTTP/1.1 299 \r\n"),
        (999, "HTTP/1.1 999 \r\n"),
    ] {
        for request in [GET, GET_1_0] {
            let mut bench = Bench::after(request);
            bench.send_head(&head(status, &[]), BodyLength::Known(0)).unwrap();
            assert!(bench.sent().starts_with(line), "{status}");
        }
    }
}

/// RFC 9112 §6.3, from the sender's side, for each kind of request.
#[test]
fn framing_of_content() {
    let known = BodyLength::Known(6);
    let unknown = BodyLength::Unknown;
    for (request, length, fields, content, next) in [
        (GET, known, "Content-Length: 6\r\n", "onetwo", Next::KeepAlive),
        (
            GET,
            unknown,
            "Transfer-Encoding: chunked\r\n",
            "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
            Next::KeepAlive,
        ),
        (HEAD, known, "Content-Length: 6\r\n", "", Next::KeepAlive),
        (HEAD, unknown, "Transfer-Encoding: chunked\r\n", "", Next::KeepAlive),
        (GET_1_0, known, "Content-Length: 6\r\n", "onetwo", Next::Close),
        (GET_1_0, unknown, "", "onetwo", Next::Close),
        (
            GET_1_0_KEPT,
            known,
            "Content-Length: 6\r\nConnection: keep-alive\r\n",
            "onetwo",
            Next::KeepAlive,
        ),
        (GET_1_0_KEPT, unknown, "", "onetwo", Next::Close),
    ] {
        let expected = format!("HTTP/1.1 200 OK\r\n{fields}\r\n{content}");
        assert_eq!(
            answer(request, &head(200, &[]), length),
            (expected, next),
            "{request} {length:?}"
        );
    }
}

/// RFC 9110 §6.4.1, §8.6, §15.
#[test]
fn statuses_without_content() {
    let length = (header::CONTENT_LENGTH, "7");
    for (status, set, fields) in [
        (204, vec![], ""),
        (204, vec![length.clone()], ""),
        (304, vec![], ""),
        (304, vec![length.clone()], "Content-Length: 7\r\n"),
        (205, vec![], "Content-Length: 0\r\n"),
        (205, vec![length], "Content-Length: 0\r\n"),
    ] {
        for request in [GET, HEAD] {
            for body in [BodyLength::Known(6), BodyLength::Unknown] {
                let (sent, next) = answer(request, &head(status, &set), body);
                let (line, rest) = sent.split_once("\r\n").unwrap();
                assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{line}");
                assert_eq!(
                    (rest, next),
                    (format!("{fields}\r\n").as_str(), Next::KeepAlive),
                    "{status} {body:?}"
                );
            }
        }
    }
}

#[test]
fn chunk_sizes_are_hexadecimal() {
    for size in [1_usize, 9, 10, 15, 16, 255, 256, 4095, 65_536, 1_048_575] {
        let mut bench = Bench::after(GET);
        bench.send_head(&head(200, &[]), BodyLength::Unknown).unwrap();
        bench.out.clear();
        bench.send_data(&vec![b'x'; size]).unwrap();
        assert_eq!(bench.sent(), format!("{size:x}\r\n{}\r\n", "x".repeat(size)));
    }
}

/// The content must match the length the application set.
#[test]
fn an_applications_content_length() {
    let six = head(200, &[(header::CONTENT_LENGTH, "06")]);
    let (sent, _) = answer(GET, &six, BodyLength::Unknown);
    assert_eq!(sent, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nonetwo");
    assert_eq!(answer(GET, &six, BodyLength::Known(6)).0, sent);
    let (sent, next) = answer(
        HEAD,
        &head(200, &[(header::CONTENT_LENGTH, "1000")]),
        BodyLength::Known(6),
    );
    assert_eq!(
        (sent.as_str(), next),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", Next::KeepAlive)
    );

    let mut bench = Bench::after(GET);
    assert_eq!(
        bench.send_head(&six, BodyLength::Known(5)),
        Err(SendError::ContentLengthMismatch)
    );
    for value in ["", "x", "-1", "5, 5", "18446744073709551616"] {
        let result = bench.send_head(&head(200, &[(header::CONTENT_LENGTH, value)]), BodyLength::Unknown);
        assert_eq!(result, Err(SendError::ContentLengthInvalid), "{value}");
    }
    let twice = head(200, &[(header::CONTENT_LENGTH, "6"), (header::CONTENT_LENGTH, "6")]);
    assert_eq!(
        bench.send_head(&twice, BodyLength::Unknown),
        Err(SendError::ContentLengthInvalid)
    );
    assert_eq!(bench.sent(), "", "a failed call writes nothing");
    bench.respond(StatusCode::INTERNAL_SERVER_ERROR, b"");
    assert!(
        bench.sent().starts_with("HTTP/1.1 500 "),
        "and another head can be sent"
    );
}

/// Surplus content is never sent, and missing content is never padded.
#[test]
fn content_of_the_wrong_length() {
    let mut bench = Bench::after(GET);
    bench.send_head(&head(200, &[]), BodyLength::Known(4)).unwrap();
    bench.out.clear();
    bench.send_data(b"one").unwrap();
    assert_eq!(bench.send_data(b"two"), Err(SendError::BodyTooLong));
    assert_eq!(bench.send_end(), Err(SendError::BodyTooShort));
    assert_eq!(bench.sent(), "one");
    assert_eq!(bench.connection.next_exchange(bench.now), Next::Close);
    assert_eq!(bench.receive_all(b""), Ok(Event::Closed));
}

/// The connection writes all framing: framing fields of the application are obeyed or rejected, never copied.
#[test]
fn framing_fields_of_the_application_are_not_copied() {
    let chunked = head(200, &[(header::TRANSFER_ENCODING, "Chunked")]);
    assert_eq!(
        answer(GET, &chunked, BodyLength::Known(6)).0,
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nonetwo"
    );
    let both = head(
        200,
        &[(header::TRANSFER_ENCODING, "chunked"), (header::CONTENT_LENGTH, "6")],
    );
    assert_eq!(
        answer(GET, &both, BodyLength::Unknown).0,
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nonetwo"
    );
    for coding in ["gzip", "gzip, chunked", "identity", ""] {
        let mut bench = Bench::after(GET);
        let result = bench.send_head(&head(200, &[(header::TRANSFER_ENCODING, coding)]), BodyLength::Unknown);
        assert_eq!(
            (result, bench.out.len()),
            (Err(SendError::TransferEncodingSet), 0),
            "{coding}"
        );
    }
    for (value, line, next) in [
        ("close", "Connection: close\r\n", Next::Close),
        ("x, Close", "Connection: close\r\n", Next::Close),
        ("keep-alive", "", Next::KeepAlive),
        ("closed", "", Next::KeepAlive),
    ] {
        let (sent, after) = answer(GET, &head(200, &[(header::CONNECTION, value)]), BodyLength::Known(6));
        assert_eq!(
            sent,
            format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n{line}\r\nonetwo"),
            "{value}"
        );
        assert_eq!(after, next, "{value}");
    }
    let (sent, _) = answer(GET, &head(426, &[(header::UPGRADE, "x")]), BodyLength::Known(6));
    assert_eq!(
        sent,
        "HTTP/1.1 426 Upgrade Required\r\nupgrade: x\r\nContent-Length: 6\r\nConnection: upgrade\r\n\r\nonetwo"
    );
}

/// RFC 9112 §7.1.2, RFC 9110 §6.5.1.
#[test]
fn trailers_travel_behind_chunks_only() {
    let mut trailers = Headers::new();
    trailers.add(HeaderName::from_static("digest"), HeaderValue::from_static("q"));
    trailers.add(HeaderName::from_static("x"), HeaderValue::from_static(""));
    for (length, end) in [
        (BodyLength::Unknown, "0\r\ndigest: q\r\nx: \r\n\r\n"),
        (BodyLength::Known(0), ""),
    ] {
        let mut bench = Bench::after(GET);
        bench.send_head(&head(200, &[]), length).unwrap();
        bench.out.clear();
        bench.connection.send_end(Some(&trailers), &mut bench.out).unwrap();
        assert_eq!(bench.sent(), end);
    }
    for name in [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::HOST,
        header::SET_COOKIE,
    ] {
        let mut forbidden = trailers.clone();
        forbidden.add(name, HeaderValue::from_static("1"));
        let mut bench = Bench::after(GET);
        bench.send_head(&head(200, &[]), BodyLength::Unknown).unwrap();
        bench.out.clear();
        assert_eq!(
            bench.connection.send_end(Some(&forbidden), &mut bench.out),
            Err(SendError::TrailerForbidden)
        );
        assert_eq!(bench.sent(), "");
    }
}

/// RFC 9110 §15.2: interim responses precede the final one, and never go to an HTTP/1.0 peer.
#[test]
fn interim_responses() {
    let hints = head(103, &[(header::LINK, "</a.css>"), (header::CONTENT_LENGTH, "5")]);
    for (request, interim) in [
        (GET, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"),
        (GET_1_0, ""),
    ] {
        let mut bench = Bench::after(request);
        bench.send_head(&hints, BodyLength::Unknown).unwrap();
        bench.send_head(&hints, BodyLength::Unknown).unwrap();
        assert_eq!(bench.sent(), interim.repeat(2));
        assert!(!bench.connection.is_head_sent());
        bench.respond(StatusCode::OK, b"ok");
    }
}

#[test]
fn calls_out_of_order_are_refused_and_write_nothing() {
    let ok = head(200, &[]);
    let mut bench = Bench::new();
    assert_eq!(bench.send_head(&ok, BodyLength::Known(0)), Err(SendError::NoRequest));
    assert_eq!(bench.send_data(b"x"), Err(SendError::HeadNotSent));
    assert_eq!(bench.send_end(), Err(SendError::HeadNotSent));
    assert!(!bench.connection.send_continue(bench.now, &mut bench.out));
    assert_eq!(bench.out, b"");

    let mut bench = Bench::after(GET);
    assert_eq!(bench.send_data(b"x"), Err(SendError::HeadNotSent));
    assert_eq!(bench.send_end(), Err(SendError::HeadNotSent));
    assert_eq!(bench.out, b"");
    bench.respond(StatusCode::OK, b"");
    bench.out.clear();
    assert_eq!(
        bench.send_head(&ok, BodyLength::Known(0)),
        Err(SendError::HeadAlreadySent)
    );
    assert_eq!(bench.send_data(b"x"), Err(SendError::AlreadyEnded));
    assert_eq!(bench.send_end(), Err(SendError::AlreadyEnded));
    assert_eq!(bench.out, b"");
}

#[test]
fn a_head_is_written_without_growing_a_buffer_that_has_room() {
    let mut bench = Bench::after(GET);
    bench.out = Vec::with_capacity(512);
    let before = (bench.out.as_ptr(), bench.out.capacity());
    let mut head = head(200, &[(header::CONTENT_TYPE, "text/plain")]);
    head.headers.add(header::SERVER, HeaderValue::from_static("squall"));
    bench
        .connection
        .send_head(&head, BodyLength::Known(2), &date(), &mut bench.out)
        .unwrap();
    bench.send_data(b"ok").unwrap();
    assert_eq!((bench.out.as_ptr(), bench.out.capacity()), before);
}

/// A rejected request gets one response, the last on the connection, even if its head could not be read.
#[test]
fn a_refusal_is_answered_once() {
    for (bytes, error) in [
        ("GET / HTTP/2.0\r\n\r\n", ParseError::VersionUnsupported),
        ("GET / HTTP/1.0\r\nHost: a, b\r\n\r\n", ParseError::HostInvalid),
        ("\0", ParseError::RequestLine),
    ] {
        let mut bench = Bench::new();
        assert_eq!(bench.receive(&mut bytes.as_bytes()), Err(error));
        assert!(bench.connection.is_responding());
        assert!(!bench.connection.persists());
        bench
            .send_head(&ResponseHead::new(error.status()), BodyLength::Known(3))
            .unwrap();
        bench.send_data(b"no!").unwrap();
        bench.send_end().unwrap();
        let (line, rest) = bench
            .sent()
            .split_once("\r\n")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {}", error.status().as_str())));
        assert_eq!(rest, "Content-Length: 3\r\nConnection: close\r\n\r\nno!");
        assert_eq!(
            bench.send_head(&ResponseHead::default(), BodyLength::Known(0)),
            Err(SendError::HeadAlreadySent)
        );
        assert_eq!(bench.connection.next_exchange(bench.now), Next::Close);
        assert_eq!(bench.receive(&mut GET.as_bytes()), Ok(Event::Closed));
    }
}

/// The date is the one the shard formatted last.
#[test]
fn the_date_is_the_callers() {
    let date = HttpDate::from(std::time::SystemTime::UNIX_EPOCH + core::time::Duration::from_secs(784_111_777));
    let mut bench = Bench::after(GET);
    bench
        .connection
        .send_head(&head(200, &[]), BodyLength::Known(0), &date, &mut bench.out)
        .unwrap();
    assert!(bench.sent().contains("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
}

/// The last content and the end in one call: the same bytes as two calls, and none if either would fail.
#[test]
fn the_last_content_ends_the_response() {
    for (length, sent) in [
        (BodyLength::Known(3), "one"),
        (BodyLength::Unknown, "3\r\none\r\n0\r\n\r\n"),
    ] {
        let mut bench = Bench::after(GET);
        bench.send_head(&head(200, &[]), length).unwrap();
        bench.out.clear();
        bench.connection.send_last(b"one", None, &mut bench.out).unwrap();
        assert_eq!(bench.sent(), sent);
        assert_eq!(bench.send_end(), Err(SendError::AlreadyEnded));
    }
    for (announced, error) in [(2, SendError::BodyTooLong), (4, SendError::BodyTooShort)] {
        let mut bench = Bench::after(GET);
        bench.send_head(&head(200, &[]), BodyLength::Known(announced)).unwrap();
        bench.out.clear();
        assert_eq!(bench.connection.send_last(b"one", None, &mut bench.out), Err(error));
        assert_eq!(bench.sent(), "");
    }
}

/// RFC 9112 §7.1: a chunk-size may begin with zeros, so a zero sent alone becomes part of the next or the last chunk.
#[test]
fn a_probe_is_a_leading_zero_of_the_next_chunk_size() {
    let after_head = |request, length| {
        let mut bench = Bench::after(request);
        bench.send_head(&head(200, &[]), length).unwrap();
        bench.out.clear();
        bench
    };
    let probe_up_to = |times, bench: &mut Bench| {
        if bench.connection.wants_probe(times) {
            bench.connection.send_probe(&mut bench.out);
        }
    };
    let probe = |bench: &mut Bench| probe_up_to(1, bench);

    let mut bench = after_head(GET, BodyLength::Unknown);
    probe(&mut bench);
    probe(&mut bench);
    bench.send_data(b"one").unwrap();
    probe(&mut bench);
    bench.send_end().unwrap();
    probe(&mut bench);
    assert_eq!(
        bench.sent(),
        "03\r\none\r\n0\r\n\r\n",
        "one probe a response, and none after it"
    );

    let mut bench = after_head(GET, BodyLength::Unknown);
    probe(&mut bench);
    bench.send_end().unwrap();
    assert_eq!(bench.sent(), "00\r\n\r\n");

    for (request, length) in [
        (GET, BodyLength::Known(6)),
        (HEAD, BodyLength::Unknown),
        (GET_1_0, BodyLength::Unknown),
    ] {
        let mut bench = after_head(request, length);
        probe(&mut bench);
        assert_eq!(bench.sent(), "", "{request} {length:?}");
    }
    let mut bench = after_head(GET, BodyLength::Unknown);
    probe(&mut bench);
    probe_up_to(2, &mut bench);
    probe_up_to(2, &mut bench);
    bench.send_data(b"one").unwrap();
    assert_eq!(bench.sent(), "003\r\none\r\n", "as many as are allowed in all");

    let mut bench = Bench::after(GET);
    probe(&mut bench);
    assert_eq!(bench.sent(), "", "content follows a head");
}
