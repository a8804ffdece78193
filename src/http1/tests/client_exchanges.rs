//! The client's machine: requests as it writes them, and responses whole, byte by byte and at every split.

use std::rc::Rc;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::{
    ClientConnection, Connection, Event, Limits, ParseError, RequestError, RequestLength, RequestLine, ResponseError,
    ResponseEvent,
};
use super::epoch;
use crate::message::{HeaderName, HeaderValue, Headers, Method, RequestHead, StatusCode};

/// What a response held, with adjacent pieces of content joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    interim: Vec<u16>,
    status: Option<u16>,
    content: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    has_ended: bool,
    error: Option<ResponseError>,
    /// Bytes that stayed unread.
    behind: usize,
    persists: bool,
}

fn host() -> Headers {
    let mut fields = Headers::new();
    fields.set(HeaderName::from_static("host"), HeaderValue::from_static("a"));
    fields
}

fn line<'r>(method: &'r Method, target: &'r str) -> RequestLine<'r> {
    RequestLine { method, target }
}

/// A connection that has sent a request without content.
fn asked(method: &Method) -> ClientConnection {
    asked_within(method, Limits::default())
}

fn asked_within(method: &Method, limits: Limits) -> ClientConnection {
    let mut connection = ClientConnection::new(Rc::new(limits));
    let mut out = Vec::new();
    connection
        .send_head(line(method, "/"), &host(), RequestLength::Empty, &mut out)
        .unwrap();
    connection.send_end(None, &mut out).unwrap();
    connection
}

/// Reads pieces, and then the end of the connection if `closes`.
fn read<'p>(mut connection: ClientConnection, pieces: impl IntoIterator<Item = &'p [u8]>, closes: bool) -> Seen {
    let mut seen = Seen::default();
    let mut unread = Vec::new();
    for piece in pieces {
        unread.extend_from_slice(piece);
        if receive(&mut connection, &mut unread, &mut seen) {
            seen.behind = unread.len();
        }
    }
    if closes && seen.error.is_none() && !seen.has_ended {
        match connection.receive_eof() {
            Ok(()) => {
                receive(&mut connection, &mut unread, &mut seen);
            }
            Err(error) => seen.error = Some(error),
        }
    }
    seen.persists = connection.next_exchange();
    seen
}

/// Receives until more is needed; true once the response has ended or failed.
fn receive(connection: &mut ClientConnection, unread: &mut Vec<u8>, seen: &mut Seen) -> bool {
    if seen.error.is_some() || seen.has_ended {
        return true;
    }
    let bytes = std::mem::take(unread);
    let mut input = bytes.as_slice();
    loop {
        match connection.receive(&mut input) {
            Ok(ResponseEvent::NeedData) => break,
            Ok(ResponseEvent::Interim(head)) => seen.interim.push(head.status.as_u16()),
            Ok(ResponseEvent::Head(head)) => assert_eq!(seen.status.replace(head.status.as_u16()), None),
            Ok(ResponseEvent::Data(data)) => {
                assert!(!data.is_empty(), "data is never empty");
                seen.content.extend_from_slice(data);
            }
            Ok(ResponseEvent::Trailer { name, value }) => seen.trailers.push((name.to_owned(), value.to_vec())),
            Ok(ResponseEvent::End) => {
                seen.has_ended = true;
                assert!(connection.is_complete());
                break;
            }
            Err(error) => {
                seen.error = Some(error);
                break;
            }
        }
    }
    *unread = input.to_vec();
    seen.error.is_some() || seen.has_ended
}

/// Reads the response to a request whole, byte by byte and at every split; all must be the same.
fn run_to(method: &Method, bytes: &[u8], closes: bool) -> Seen {
    let whole = read(asked(method), [bytes], closes);
    let shown = bytes.escape_ascii();
    assert_eq!(
        without_place(read(asked(method), bytes.chunks(1), closes)),
        without_place(whole.clone()),
        "{shown}"
    );
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let split = read(asked(method), [first, second], closes);
        assert_eq!(
            without_place(split),
            without_place(whole.clone()),
            "cut at {cut}: {shown}"
        );
    }
    whole
}

/// How much stays unread behind a fault depends on where it was cut.
fn without_place(mut seen: Seen) -> Seen {
    if seen.error.is_some() {
        seen.behind = 0;
    }
    seen
}

fn run(bytes: &[u8]) -> Seen {
    run_to(&Method::GET, bytes, false)
}

/// The content of a complete response, and whether the connection persists.
fn complete(method: &Method, bytes: &[u8], closes: bool) -> (String, bool) {
    let seen = run_to(method, bytes, closes);
    assert_eq!(seen.error, None, "{}", bytes.escape_ascii());
    assert!(seen.has_ended, "{}", bytes.escape_ascii());
    assert_eq!(seen.behind, 0, "{}", bytes.escape_ascii());
    (String::from_utf8(seen.content).unwrap(), seen.persists)
}

/// RFC 9112 §6.3, rule by rule.
#[test]
fn content_ends_where_its_framing_says() {
    for (response, content, persists) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 05\r\n\r\nhello", "hello", true),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\nhello",
            "hello",
            true,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", "hello", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=\"y\"\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            "hello",
            true,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "", true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", "", true),
        (
            "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
            "",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
            "hi",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, CLOSE\r\n\r\nhi",
            "hi",
            false,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nhi",
            "hi",
            true,
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, close\r\n\r\nhi",
            "hi",
            false,
        ),
    ] {
        let expected = (content.to_owned(), persists);
        assert_eq!(
            complete(&Method::GET, response.as_bytes(), false),
            expected,
            "{response:?}"
        );
    }
}

#[test]
fn content_without_a_length_ends_with_the_connection() {
    for response in [
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello",
    ] {
        assert_eq!(
            complete(&Method::GET, response.as_bytes(), true),
            ("hello".to_owned(), false)
        );
        let open = run(response.as_bytes());
        assert!(!open.has_ended && !open.persists);
    }
}

/// RFC 9110 §9.3.2.
#[test]
fn a_response_to_head_has_no_content() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert_eq!(
            complete(&Method::HEAD, response.as_bytes(), false),
            (String::new(), true)
        );
    }
}

#[test]
fn interim_responses_precede_the_last() {
    let seen = run(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nLink: </a>\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    assert_eq!((seen.interim, seen.status), (vec![100, 103], Some(200)));
    assert_eq!((seen.content.as_slice(), seen.persists), (&b"hi"[..], true));
}

#[test]
fn trailers_follow_chunked_content() {
    let seen = run(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\nB:\r\n\r\n");
    let expected = [("X-Sum".to_owned(), b"7".to_vec()), ("B".to_owned(), Vec::new())];
    assert_eq!(seen.trailers, expected);
    assert!(seen.has_ended && seen.persists);
}

/// Bytes behind a response would be taken for the response to the next request.
#[test]
fn bytes_behind_a_response_stay_unread() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n";
    let seen = run(bytes);
    assert_eq!((seen.content.as_slice(), seen.behind), (&b"hi"[..], 19));
}

#[test]
fn malformed_responses_are_rejected() {
    let ok = "HTTP/1.1 200 OK\r\n";
    for (response, error) in [
        (format!("{ok}Content-Length: x\r\n\r\n"), ResponseError::ContentLength),
        (format!("{ok}Content-Length: -1\r\n\r\n"), ResponseError::ContentLength),
        (format!("{ok}Content-Length:\r\n\r\n"), ResponseError::ContentLength),
        (
            format!("{ok}Content-Length: 5, 6\r\n\r\n"),
            ResponseError::ContentLength,
        ),
        (
            format!("{ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
            ResponseError::ContentLength,
        ),
        (
            format!("{ok}Content-Length: 9223372036854775808\r\n\r\n"),
            ResponseError::ContentLength,
        ),
        (
            format!("{ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ResponseError::LengthAndCoding,
        ),
        (
            format!("{ok}Transfer-Encoding: gzip\r\n\r\n"),
            ResponseError::TransferEncoding,
        ),
        (
            format!("{ok}Transfer-Encoding: gzip, chunked\r\n\r\n"),
            ResponseError::TransferEncoding,
        ),
        (
            format!("{ok}Transfer-Encoding: chunked, chunked\r\n\r\n"),
            ResponseError::TransferEncoding,
        ),
        (
            format!("{ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ResponseError::TransferEncoding,
        ),
        (
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            ResponseError::TransferEncoding,
        ),
        (
            "HTTP/1.1 204 X\r\nContent-Length: 1\r\n\r\nx".to_owned(),
            ResponseError::ContentNotAllowed,
        ),
        (
            "HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            ResponseError::ContentNotAllowed,
        ),
        (
            "HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n".to_owned(),
            ResponseError::UpgradeNotAsked,
        ),
        ("SSH-2.0\r\n".to_owned(), ResponseError::StatusLine),
        (format!("{ok}A: b\n"), ResponseError::BareLineFeed),
    ] {
        assert_rejected(&response, error);
    }
}

fn assert_rejected(response: &str, error: ResponseError) {
    let seen = run(response.as_bytes());
    assert_eq!(seen.error, Some(error), "{response:?}");
    assert!(!seen.has_ended && !seen.persists, "{response:?}");
}

#[test]
fn malformed_chunks_are_rejected() {
    for (chunks, error) in [
        ("x\r\n", ParseError::ChunkSize),
        ("1\nx", ParseError::ChunkSize),
        ("1\r\nxy", ParseError::ChunkEnd),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        assert_rejected(&response, ResponseError::Chunked(error));
    }
}

#[test]
fn a_response_that_the_server_cuts_is_an_error() {
    let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n";
    for cut in 0..whole.len() {
        let seen = read(asked(&Method::GET), [&whole[..cut]], true);
        assert_eq!(seen.error, Some(ResponseError::Truncated), "cut at {cut}");
        assert!(!seen.persists);
    }
    let seen = read(asked(&Method::GET), [&whole[..]], true);
    assert!(seen.has_ended);
    let short = read(
        asked(&Method::GET),
        [&b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"[..]],
        true,
    );
    assert_eq!(short.error, Some(ResponseError::Truncated));
}

#[test]
fn the_machine_knows_whether_a_byte_of_the_response_has_come() {
    let mut connection = asked(&Method::GET);
    assert!(!connection.has_response());
    assert_eq!(connection.receive(&mut &b""[..]), Ok(ResponseEvent::NeedData));
    assert!(!connection.has_response());
    assert_eq!(connection.receive(&mut &b"H"[..]), Ok(ResponseEvent::NeedData));
    assert!(connection.has_response());
}

#[test]
fn heads_and_trailers_have_limits() {
    let limits = || {
        Limits::default()
            .max_header_bytes(60)
            .max_header_count(2)
            .max_trailer_bytes(10)
            .max_trailer_count(1)
    };
    let ok = "HTTP/1.1 200 OK\r\n";
    for (response, error) in [
        (
            format!("{ok}A: {}\r\n\r\n", "x".repeat(60)),
            ResponseError::HeadTooLarge,
        ),
        ("HTTP/1.1 100 Continue\r\n\r\n".repeat(9), ResponseError::HeadTooLarge),
        (format!("{ok}A:\r\nB:\r\nC:\r\n\r\n"), ResponseError::TooManyFields),
        (
            format!("{ok}Transfer-Encoding: chunked\r\n\r\n0\r\nA: 1234567\r\n\r\n"),
            ResponseError::Chunked(ParseError::TrailersTooLarge),
        ),
        (
            format!("{ok}Transfer-Encoding: chunked\r\n\r\n0\r\nA:\r\nB:\r\n\r\n"),
            ResponseError::Chunked(ParseError::TooManyTrailers),
        ),
    ] {
        for piece in [1, 7, usize::MAX] {
            let seen = read(
                asked_within(&Method::GET, limits()),
                response.as_bytes().chunks(piece),
                false,
            );
            assert_eq!(seen.error, Some(error), "{response:?}");
        }
    }
}

/// A request as it was written.
fn written(
    method: &Method,
    fields: &[(&'static str, &'static str)],
    length: RequestLength,
    pieces: &[&str],
) -> Result<String, RequestError> {
    let mut all = host();
    for (name, value) in fields {
        all.add(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut connection = ClientConnection::new(Rc::new(Limits::default()));
    let mut out = Vec::new();
    let head = connection.send_head(line(method, "/p?q"), &all, length, &mut out);
    head.inspect_err(|_| assert_eq!(out, b"", "a failed call writes nothing"))?;
    for piece in pieces {
        connection.send_data(piece.as_bytes(), &mut out)?;
    }
    connection.send_end(None, &mut out)?;
    assert!(!connection.is_sending());
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn the_machine_writes_the_framing_of_a_request() {
    let known = RequestLength::Known;
    for (method, fields, length, pieces, expected) in [
        (Method::GET, &[][..], RequestLength::Empty, &[][..], "\r\n"),
        (
            Method::POST,
            &[],
            RequestLength::Empty,
            &[],
            "content-length: 0\r\n\r\n",
        ),
        (Method::DELETE, &[], known(2), &["hi"], "content-length: 2\r\n\r\nhi"),
        (
            Method::PUT,
            &[],
            known(4),
            &["hi", "", "ho"],
            "content-length: 4\r\n\r\nhiho",
        ),
        (
            Method::POST,
            &[],
            RequestLength::Unknown,
            &["hi", "", "0123456789abcdef"],
            "transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
        ),
        (
            Method::POST,
            &[("content-length", "2")],
            RequestLength::Unknown,
            &["h", "i"],
            "content-length: 2\r\n\r\nhi",
        ),
        (
            Method::POST,
            &[("transfer-encoding", "chunked"), ("connection", "x, close")],
            RequestLength::Unknown,
            &[],
            "transfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n",
        ),
    ] {
        let expected = format!("{method} /p?q HTTP/1.1\r\nhost: a\r\n{expected}");
        assert_eq!(written(&method, fields, length, pieces), Ok(expected));
    }
}

#[test]
fn mistakes_of_the_application_are_errors_before_a_byte_is_written() {
    let known = RequestLength::Known;
    for (method, fields, length, pieces, error) in [
        (
            Method::CONNECT,
            &[][..],
            RequestLength::Empty,
            &[][..],
            RequestError::Connect,
        ),
        (
            Method::GET,
            &[("host", "b")],
            RequestLength::Empty,
            &[],
            RequestError::Host,
        ),
        (
            Method::GET,
            &[("upgrade", "b")],
            RequestLength::Empty,
            &[],
            RequestError::Upgrade,
        ),
        (
            Method::POST,
            &[("content-length", "x")],
            RequestLength::Unknown,
            &[],
            RequestError::ContentLengthInvalid,
        ),
        (
            Method::POST,
            &[("content-length", "1"), ("content-length", "1")],
            known(1),
            &[],
            RequestError::ContentLengthInvalid,
        ),
        (
            Method::POST,
            &[("content-length", "1")],
            known(2),
            &[],
            RequestError::ContentLengthMismatch,
        ),
        (
            Method::POST,
            &[("content-length", "1")],
            RequestLength::Empty,
            &[],
            RequestError::ContentLengthMismatch,
        ),
        (
            Method::POST,
            &[("transfer-encoding", "gzip")],
            RequestLength::Unknown,
            &[],
            RequestError::TransferEncodingSet,
        ),
        (Method::POST, &[], known(1), &["hi"], RequestError::BodyTooLong),
        (Method::POST, &[], known(3), &["hi"], RequestError::BodyTooShort),
        (
            Method::GET,
            &[],
            RequestLength::Empty,
            &["x"],
            RequestError::BodyTooLong,
        ),
    ] {
        assert_eq!(written(&method, fields, length, pieces), Err(error), "{fields:?}");
    }
}

#[test]
fn a_target_with_a_forbidden_byte_is_an_error() {
    let mut connection = ClientConnection::new(Rc::new(Limits::default()));
    for target in ["", "/a b", "/\r\nX: y", "/\u{e9}", "/#f"] {
        let sent = connection.send_head(
            line(&Method::GET, target),
            &host(),
            RequestLength::Empty,
            &mut Vec::new(),
        );
        assert_eq!(sent, Err(RequestError::Target), "{target:?}");
    }
}

#[test]
fn calls_in_another_order_are_errors() {
    let mut out = Vec::new();
    let mut connection = ClientConnection::new(Rc::new(Limits::default()));
    assert_eq!(connection.send_data(b"x", &mut out), Err(RequestError::HeadNotSent));
    assert_eq!(connection.send_end(None, &mut out), Err(RequestError::HeadNotSent));
    assert!(!connection.next_exchange(), "no exchange has begun");
    let mut connection = asked(&Method::GET);
    assert_eq!(connection.send_data(b"x", &mut out), Err(RequestError::AlreadyEnded));
    let again = connection.send_head(line(&Method::GET, "/"), &host(), RequestLength::Empty, &mut out);
    assert_eq!(again, Err(RequestError::Busy));
    assert!(out.is_empty());
    let mut trailers = Headers::new();
    trailers.set(HeaderName::from_static("content-length"), HeaderValue::from_static("1"));
    let mut connection = ClientConnection::new(Rc::new(Limits::default()));
    connection
        .send_head(line(&Method::POST, "/"), &host(), RequestLength::Unknown, &mut out)
        .unwrap();
    assert_eq!(
        connection.send_end(Some(&trailers), &mut out),
        Err(RequestError::TrailerForbidden)
    );
}

/// An early response leaves content of the request unsent, so the next request would be read as that content.
#[test]
fn a_connection_whose_request_is_incomplete_is_not_reused() {
    let mut out = Vec::new();
    let mut connection = ClientConnection::new(Rc::new(Limits::default()));
    connection
        .send_head(line(&Method::POST, "/"), &host(), RequestLength::Known(5), &mut out)
        .unwrap();
    let mut input = &b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"[..];
    let head = connection.receive(&mut input).unwrap();
    assert!(matches!(head, ResponseEvent::Head(head) if head.status == StatusCode::PAYLOAD_TOO_LARGE));
    assert_eq!(connection.receive(&mut input), Ok(ResponseEvent::End));
    assert!(!connection.next_exchange());
}

#[test]
fn exchanges_follow_one_another_on_a_connection() {
    let mut connection = asked(&Method::GET);
    for round in 0..3 {
        let mut input = &b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"[..];
        for expected in ["head", "data", "end"] {
            let event = connection.receive(&mut input).unwrap();
            let name = match event {
                ResponseEvent::Head(_) => "head",
                ResponseEvent::Data(_) => "data",
                ResponseEvent::End => "end",
                other => panic!("{other:?} in round {round}"),
            };
            assert_eq!(name, expected);
        }
        assert!(connection.next_exchange());
        assert!(!connection.has_response());
        let mut out = Vec::new();
        connection
            .send_head(line(&Method::GET, "/"), &host(), RequestLength::Empty, &mut out)
            .unwrap();
        connection.send_end(None, &mut out).unwrap();
    }
}

const RESPONSES: [&[u8]; 8] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end",
    b"HTTP/1.0 302 Found\r\nLocation: /\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: \"a\"\r\n\r\n",
    b"HTTP/1.1 200\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
];

const SPOILERS: [&[u8]; 14] = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b":",
    b",",
    b"0",
    b"5",
    b"\0",
    b"\xff",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"\r\n\r\n",
];

/// An edit: at a place, remove some bytes and insert others.
type Edit = (Index, usize, Option<&'static [u8]>);

fn spoil(response: &[u8], edits: Vec<Edit>) -> Vec<u8> {
    let mut bytes = response.to_vec();
    for (place, removed, put) in edits {
        let start = place.index(bytes.len() + 1);
        let end = (start + removed).min(bytes.len());
        bytes.splice(start..end, put.into_iter().flatten().copied());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Every split of the same bytes gives the same response.
    #[test]
    fn pieces_make_no_difference(
        response in select(&RESPONSES[..]),
        edits in prop::collection::vec((any::<Index>(), 0..3_usize, prop::option::of(select(&SPOILERS[..]))), 0..3),
        is_head in any::<bool>(),
        closes in any::<bool>(),
    ) {
        let method = if is_head { Method::HEAD } else { Method::GET };
        run_to(&method, &spoil(response, edits), closes);
    }

    /// The server's machine reads every request that the client's machine writes, with the same content.
    #[test]
    fn a_server_reads_what_a_client_writes(
        method in select(&[Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS][..]),
        pieces in prop::collection::vec("[ -~]{0,20}", 0..4),
        knows_length in any::<bool>(),
    ) {
        let content = pieces.concat();
        let length = match knows_length {
            true => RequestLength::Known(content.len() as u64),
            false => RequestLength::Unknown,
        };
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let bytes = written(&method, &[("x-a", "b")], length, &pieces).unwrap();
        let mut input = bytes.as_bytes();
        let mut head = RequestHead::new();
        let mut server = Connection::new(Limits::default().into(), epoch());
        prop_assert_eq!(server.receive(&mut input, &mut head, epoch()), Ok(Event::Request));
        prop_assert_eq!((head.method(), head.target()), (&method, "/p?q"));
        let mut received = Vec::new();
        loop {
            match server.receive(&mut input, &mut head, epoch()) {
                Ok(Event::Data(data)) => received.extend_from_slice(data),
                Ok(Event::End) => break,
                event => prop_assert!(false, "{:?}", event),
            }
        }
        prop_assert_eq!((received.as_slice(), input), (content.as_bytes(), &b""[..]));
    }
}
