//! The client side: heads of responses as it reads them, and of requests as it writes them.

use proptest::prelude::*;

use super::super::{
    Connection, Event, Limits, RESPONSE_FIELDS_MAX, RESPONSE_HEAD_BYTES_MAX, ResponseError, ResponseReader, write_get,
};
use super::epoch;
use crate::message::{HeaderName, HeaderValue, Headers, RequestHead, ResponseHead, StatusCode};

/// The result of reading a response: its head and how many bytes follow it, nothing yet, or an error.
type Outcome = Result<Option<(ResponseHead, usize)>, ResponseError>;

fn run_pieces<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let mut reader = ResponseReader::default();
    let mut buffer = Vec::new();
    let mut pieces = pieces.into_iter();
    while let Some(piece) = pieces.next() {
        buffer.extend_from_slice(piece);
        let mut input = buffer.as_slice();
        if let Some(head) = reader.receive(&mut input)? {
            return Ok(Some((head, input.len() + pieces.map(<[u8]>::len).sum::<usize>())));
        }
        buffer = input.to_vec();
    }
    Ok(None)
}

/// Reads a response whole, byte by byte, and split at every place; the result must be the same.
fn run(bytes: &[u8]) -> Outcome {
    let whole = run_pieces([bytes]);
    assert_eq!(
        run_pieces(bytes.chunks(1)),
        whole,
        "byte by byte: {}",
        bytes.escape_ascii()
    );
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(
            run_pieces([first, second]),
            whole,
            "cut at {cut}: {}",
            bytes.escape_ascii()
        );
    }
    whole
}

fn lines(head: &ResponseHead) -> Vec<(&str, &[u8])> {
    let fields = head.headers.iter();
    fields.map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

#[test]
fn a_response_is_its_status_its_fields_and_what_is_behind_them() {
    let (head, behind) =
        run(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX-Two:  a b\t\r\nx-two:\r\n\r\n\x81\x02hi")
            .unwrap()
            .unwrap();
    assert_eq!(head.status, StatusCode::SWITCHING_PROTOCOLS);
    let expected: [(&str, &[u8]); 3] = [("upgrade", b"websocket"), ("x-two", b"a b"), ("x-two", b"")];
    assert_eq!(lines(&head), expected);
    assert_eq!(behind, 4);
}

/// RFC 9112 §4: the reason may be empty; servers in use omit its space, too.
#[test]
fn a_status_line_may_say_little() {
    for (line, status) in [
        ("HTTP/1.1 404 ", 404),
        ("HTTP/1.1 404", 404),
        ("HTTP/1.0 403 No", 403),
        ("HTTP/1.9 200 \u{e9}t\u{e9}\t!", 200),
        ("HTTP/1.1 799 What", 799),
    ] {
        let (head, behind) = run(format!("{line}\r\n\r\n").as_bytes()).unwrap().unwrap();
        assert_eq!(
            (head.status.as_u16(), head.headers.len(), behind),
            (status, 0, 0),
            "{line}"
        );
    }
}

/// RFC 9110 §15.2.
#[test]
fn interim_responses_are_passed_over() {
    let (head, behind) = run(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /b\r\n\r\nbody",
    )
    .unwrap()
    .unwrap();
    assert_eq!(head.status, StatusCode::FOUND);
    assert_eq!(lines(&head), [("location", &b"/b"[..])]);
    assert_eq!(behind, 4);
}

#[test]
fn an_incomplete_response_is_not_an_error() {
    for bytes in [
        "",
        "H",
        "HTTP/1.1 101 x\r",
        "HTTP/1.1 200\r\nA: b\r\n",
        "HTTP/1.1 100\r\n\r\n",
    ] {
        assert_eq!(run(bytes.as_bytes()), Ok(None), "{bytes:?}");
    }
}

#[test]
fn malformed_responses_are_rejected() {
    let cases: [(&str, ResponseError); 22] = [
        ("SSH-2.0-OpenSSH_9.2\r\n", ResponseError::StatusLine),
        ("\r\n", ResponseError::StatusLine),
        ("HTTP/2 200\r\n", ResponseError::StatusLine),
        ("HTTP/2.0 200\r\n", ResponseError::StatusLine),
        ("http/1.1 200\r\n", ResponseError::StatusLine),
        ("HTTP/1.1\r\n", ResponseError::StatusLine),
        ("HTTP/1.1  200 OK\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 20 OK\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 2000 OK\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 099 OK\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 +20 OK\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 200 O\0K\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 200\tOK\r\n", ResponseError::StatusLine),
        ("HTTP/1.0 101 Switching Protocols\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 200 OK\n", ResponseError::BareLineFeed),
        ("HTTP/1.1 200 OK\r\nA: b\n\r\n", ResponseError::BareLineFeed),
        ("HTTP/1.1 200 OK\r\nA\r\n", ResponseError::FieldLine),
        ("HTTP/1.1 200 OK\r\nA : b\r\n", ResponseError::FieldLine),
        ("HTTP/1.1 200 OK\r\n: b\r\n", ResponseError::FieldLine),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n", ResponseError::FieldLine),
        ("HTTP/1.1 200 OK\r\nA: b\rc\r\n", ResponseError::FieldLine),
        ("HTTP/1.1 200 OK\r\nA: b\x7f\r\n", ResponseError::FieldLine),
    ];
    for (bytes, error) in cases {
        assert_eq!(run(bytes.as_bytes()), Err(error), "{bytes:?}");
    }
}

/// Returns a response of the given size, in one field.
fn large(bytes: usize) -> Vec<u8> {
    let (front, back) = ("HTTP/1.1 200 OK\r\nA: ", "\r\n\r\n");
    [
        front.as_bytes(),
        &vec![b'x'; bytes - front.len() - back.len()],
        back.as_bytes(),
    ]
    .concat()
}

#[test]
fn a_head_has_limits_of_size_and_fields_however_it_is_split() {
    let fits = large(RESPONSE_HEAD_BYTES_MAX);
    let too_large = large(RESPONSE_HEAD_BYTES_MAX + 1);
    for piece in [1, 1000, usize::MAX] {
        assert!(run_pieces(fits.chunks(piece)).unwrap().is_some());
        assert_eq!(run_pieces(too_large.chunks(piece)), Err(ResponseError::HeadTooLarge));
    }
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(RESPONSE_HEAD_BYTES_MAX);
    assert_eq!(run_pieces(interim.chunks(777)), Err(ResponseError::HeadTooLarge));
    for (count, outcome) in [
        (RESPONSE_FIELDS_MAX, Ok(RESPONSE_FIELDS_MAX)),
        (RESPONSE_FIELDS_MAX + 1, Err(ResponseError::TooManyFields)),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
        let seen = run(bytes.as_bytes()).map(|found| found.unwrap().0.headers.len());
        assert_eq!(seen, outcome);
    }
}

proptest! {
    /// The result never depends on how the network splits the response.
    #[test]
    fn pieces_make_no_difference(
        lines in prop::collection::vec("(HTTP/1\\.[01] [1-5]0[0-9] ?[ -~]{0,5}|[a-zA-Z: ]{0,8})(\r\n|\r\n|\n|\r)", 0..8),
    ) {
        run(lines.concat().as_bytes()).ok();
    }
}

/// httparse accepts more than this reader; where both accept, they agree.
#[test]
fn httparse_agrees() {
    for bytes in [
        &b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nA:  b\t c \r\nD:\r\n\r\nrest"[..],
        b"HTTP/1.0 404 \r\n\r\n",
        b"HTTP/1.1 503\r\nRetry-After: 1\r\n\r\n",
    ] {
        let (head, behind) = run(bytes).unwrap().unwrap();
        let mut fields = [httparse::EMPTY_HEADER; 8];
        let mut theirs = httparse::Response::new(&mut fields);
        let read = theirs.parse(bytes).unwrap().unwrap();
        assert_eq!((theirs.code, bytes.len() - read), (Some(head.status.as_u16()), behind));
        let theirs = theirs.headers.iter();
        let theirs: Vec<_> = theirs
            .map(|field| (field.name.to_ascii_lowercase(), field.value))
            .collect();
        let ours: Vec<_> = lines(&head)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        assert_eq!(ours, theirs);
    }
}

/// The server's machine reads what the client writes.
#[test]
fn a_request_is_what_a_server_understands() {
    let mut fields = Headers::new();
    fields.set(HeaderName::from_static("host"), HeaderValue::from_static("a:80"));
    fields.add(HeaderName::from_static("x-b"), HeaderValue::from_static("c d"));
    let mut bytes = Vec::new();
    write_get(&"/path?q=1".parse().unwrap(), &fields, &mut bytes);
    assert_eq!(bytes, b"GET /path?q=1 HTTP/1.1\r\nhost: a:80\r\nx-b: c d\r\n\r\n");
    let mut head = RequestHead::new();
    let mut connection = Connection::new(Limits::default().into(), epoch());
    let event = connection.receive(&mut bytes.as_slice(), &mut head, epoch());
    assert_eq!(event, Ok(Event::Request));
    assert_eq!((head.path(), head.query()), ("/path", Some("q=1")));
}
