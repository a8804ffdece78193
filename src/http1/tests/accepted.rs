//! Requests that must be accepted, and what the application sees of them.

use super::super::{Limits, Next};
use super::CANARY;
use super::transcript::{self, Outcome, RequestSeen, Seen};
use crate::message::{TargetForm, Version};

/// Runs one request that must be accepted and consumed completely.
#[track_caller]
fn accept(bytes: &[u8]) -> Outcome {
    let outcome = transcript::run(bytes, &Limits::default());
    assert_eq!(outcome.error, None, "{}", bytes.escape_ascii());
    assert_eq!(outcome.consumed, bytes.len(), "{}", bytes.escape_ascii());
    outcome
}

fn first(outcome: &Outcome) -> &RequestSeen {
    outcome.requests().next().unwrap()
}

#[test]
fn a_request_is_seen_as_it_was_sent() {
    let outcome = accept(
        b"PATCH /a%20b/c?d=e&f HTTP/1.1\r\nHost: example.org:8080\r\n\
        X-One: 1\r\nx_two:\t2 \t\r\nX-One:\r\nBytes: \x80\xff\ta\r\n\r\n",
    );
    let field = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let expected = RequestSeen {
        method: "PATCH".into(),
        target: "/a%20b/c?d=e&f".into(),
        version: Version::Http11,
        form: TargetForm::Origin,
        authority: "example.org:8080".into(),
        path: "/a%20b/c".into(),
        query: Some("d=e&f".into()),
        fields: vec![
            field("host", b"example.org:8080"),
            field("x-one", b"1"),
            field("x_two", b"2"),
            field("x-one", b""),
            field("bytes", b"\x80\xff\ta"),
        ],
    };
    assert_eq!(
        outcome.events,
        [
            Seen::Request(Box::new(expected)),
            Seen::End,
            Seen::Next(Next::KeepAlive)
        ]
    );
}

#[test]
fn one_empty_line_before_a_request_is_skipped() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let outcome = accept(&[b"\r\n", request.as_slice(), b"\r\n", request].concat());
    assert_eq!(outcome.requests().count(), 2);
}

/// RFC 9110 §2.5: a higher minor version is read as 1.1.
#[test]
fn higher_minor_versions_are_read_as_1_1() {
    for minor in 1..=9 {
        let outcome = accept(format!("GET / HTTP/1.{minor}\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(first(&outcome).version, Version::Http11);
        assert_eq!(outcome.events.last(), Some(&Seen::Next(Next::KeepAlive)));
    }
}

#[test]
fn http_1_0_needs_no_host() {
    let outcome = accept(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(
        (first(&outcome).version, first(&outcome).authority.as_str()),
        (Version::Http10, "")
    );
    assert_eq!(
        outcome.events.get(2..),
        Some([Seen::Next(Next::Close), Seen::Closed].as_slice())
    );
}

/// RFC 9112 §3.2.
#[test]
fn every_form_of_target() {
    for (line, host, form, authority, path, query) in [
        ("GET / HTTP/1.1", "a", TargetForm::Origin, "a", "/", None),
        ("GET //b/c HTTP/1.1", "a", TargetForm::Origin, "a", "//b/c", None),
        (
            "GET /\"<>^`{|}\\ HTTP/1.1",
            "",
            TargetForm::Origin,
            "",
            "/\"<>^`{|}\\",
            None,
        ),
        (
            "GET http://A.b:80/c?d HTTP/1.1",
            "a.B:80",
            TargetForm::Absolute,
            "A.b:80",
            "/c",
            Some("d"),
        ),
        (
            "GET HTTPS://[::1] HTTP/1.1",
            "[::1]",
            TargetForm::Absolute,
            "[::1]",
            "/",
            None,
        ),
        // RFC 9112 §3.2.2: the target's authority replaces Host.
        (
            "GET http://a:80/ HTTP/1.1",
            "a",
            TargetForm::Absolute,
            "a:80",
            "/",
            None,
        ),
        ("GET http://b HTTP/1.1", "a", TargetForm::Absolute, "b", "/", None),
        (
            "GET http://b/c?d HTTP/1.1",
            "",
            TargetForm::Absolute,
            "b",
            "/c",
            Some("d"),
        ),
        ("OPTIONS * HTTP/1.1", "a", TargetForm::Asterisk, "a", "*", None),
        ("OPTIONS /x HTTP/1.1", "a", TargetForm::Origin, "a", "/x", None),
        ("OPTIONS http://a HTTP/1.1", "a", TargetForm::Absolute, "a", "/", None),
        (
            "UPDATEREDIRECTREF /x HTTP/1.1",
            "a",
            TargetForm::Origin,
            "a",
            "/x",
            None,
        ),
        ("g!#$%&'*+-.^_`|~ /x HTTP/1.1", "a", TargetForm::Origin, "a", "/x", None),
    ] {
        let outcome = accept(format!("{line}\r\nHost: {host}\r\n\r\n").as_bytes());
        let request = first(&outcome);
        assert_eq!(
            (
                request.form,
                request.authority.as_str(),
                request.path.as_str(),
                request.query.as_deref()
            ),
            (form, authority, path, query),
            "{line}"
        );
    }
}

/// Leading zeros are digits. Content belongs to the request whatever its method.
#[test]
fn content_of_known_length_belongs_to_the_request() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "TRACE", "X"] {
        let length = CANARY.len();
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0{length}\r\n\r\n");
        let outcome = accept(&[head.as_bytes(), CANARY].concat());
        assert_eq!(outcome.content(), CANARY, "{method}");
        assert!(!outcome.has_reached("/canary"), "{method}");
    }
    let outcome = accept(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n0123456789");
    assert_eq!(outcome.content(), b"0123456789");
}

#[test]
fn empty_content_ends_at_once() {
    for fields in [
        "",
        "Content-Length: 0\r\n",
        "Content-Length: 000\r\n",
        "Content_Length: 5\r\n",
    ] {
        let outcome = accept(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes());
        assert_eq!(outcome.events.len(), 3, "{fields}");
        assert_eq!(outcome.events.get(1), Some(&Seen::End), "{fields}");
    }
}

/// The end of the connection never delimits a request.
#[test]
fn http_1_0_content_without_a_length_is_empty_and_final() {
    let outcome = transcript::run(
        &[b"POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", CANARY].concat(),
        &Limits::default(),
    );
    assert_eq!(
        outcome.events.get(1..),
        Some([Seen::End, Seen::Next(Next::Close), Seen::Closed].as_slice())
    );
}

/// RFC 9112 §7.1.
#[test]
fn chunked_content() {
    for (content, expected) in [
        (b"0\r\n\r\n".as_slice(), b"".as_slice()),
        (b"000\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", b"hello world"),
        (
            b"a\r\n0\r\n\r\nGET /\r\nA\r\n0123456789\r\n0\r\n\r\n",
            b"0\r\n\r\nGET /0123456789",
        ),
        (
            b"1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
            b"abcdefghijklmnopqrstuvwxyz",
        ),
        (b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello"),
        (b"5;a=\"x;\\\"y\";b\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5 \t; a = b\r\nhello\r\n0 ;\r\n\r\n", b"hello"),
        (b"5;\xff\r\nhello\r\n0\r\n\r\n", b"hello"),
    ] {
        for coding in ["chunked", "Chunked", "CHUNKED"] {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n");
            let outcome = accept(&[head.as_bytes(), content].concat());
            assert_eq!(outcome.content(), expected, "{}", content.escape_ascii());
            assert_eq!(outcome.events.last(), Some(&Seen::Next(Next::KeepAlive)));
        }
    }
}

/// Trailers end the content and are kept apart from the fields of the head, whatever their names.
#[test]
fn trailers_are_kept_apart() {
    let outcome = accept(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\
        Content-Length: 5\r\nHost: evil\r\n\
        Authorization: x\r\nCookie: y\r\nX-Forwarded-For: z\r\nX-Digest:\t q \r\nEmpty:\r\n\r\n\
        GET /next HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let names = ["host", "transfer-encoding"];
    assert_eq!(
        first(&outcome)
            .fields
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        names
    );
    assert_eq!(first(&outcome).authority, "a");
    let trailer = |name: &str, value: &str| Seen::Trailer(name.into(), value.into());
    assert_eq!(
        outcome.events.get(1..11),
        Some(
            [
                Seen::Data(b"hi".to_vec()),
                trailer("Content-Length", "5"),
                trailer("Host", "evil"),
                trailer("Authorization", "x"),
                trailer("Cookie", "y"),
                trailer("X-Forwarded-For", "z"),
                trailer("X-Digest", "q"),
                trailer("Empty", ""),
                Seen::End,
                Seen::Next(Next::KeepAlive),
            ]
            .as_slice()
        )
    );
    assert!(outcome.has_reached("/next"));
}

/// Pipelined requests are returned one by one and in order; garbage is reported after the valid ones have been
/// answered.
#[test]
fn pipelined_requests_come_in_order() {
    let requests: Vec<u8> = (0..10)
        .flat_map(|number| {
            match number % 3 {
                0 => format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
                1 => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET "),
                _ => format!(
                    "PUT /{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n"
                ),
            }
            .into_bytes()
        })
        .collect();
    let outcome = transcript::run(
        &[requests.as_slice(), b"garbage\r\n", CANARY].concat(),
        &Limits::default(),
    );
    let targets: Vec<_> = outcome.requests().map(|request| request.target.clone()).collect();
    assert_eq!(targets, (0..10).map(|number| format!("/{number}")).collect::<Vec<_>>());
    assert_eq!(outcome.consumed, requests.len());
    assert_eq!(outcome.error, Some(super::super::ParseError::RequestLine));
}

/// More fields than httparse has room for.
#[test]
fn many_fields_are_kept_in_order() {
    let fields: String = (0..99).map(|number| format!("X-{number}: {number}\r\n")).collect();
    let outcome = transcript::run_pieces(
        [format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()],
        &Limits::default(),
        transcript::Answer::AfterEnd,
    );
    let fields = &first(&outcome).fields;
    assert_eq!(fields.len(), 100);
    assert_eq!(fields.get(77), Some(&("x-76".to_owned(), b"76".to_vec())));
}
