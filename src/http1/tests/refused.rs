//! Requests that must be rejected, each followed by a request that must not run. See
//! `docs/threats.md#request-smuggling`.

use super::super::{Limits, ParseError};
use super::CANARY;
use super::transcript::{self, Seen};

/// Runs `bytes` with the canary behind them, with every split, and expects `error`.
#[track_caller]
fn assert_refused(bytes: &[u8], error: ParseError) {
    let with_canary = [bytes, CANARY].concat();
    let outcome = transcript::run(&with_canary, &Limits::default());
    assert_eq!(outcome.error, Some(error), "{}", bytes.escape_ascii());
    assert!(!outcome.has_reached("/canary"), "{}", bytes.escape_ascii());
    assert!(!outcome.events.contains(&Seen::End), "{}", bytes.escape_ascii());
}

#[track_caller]
fn assert_all_refused(cases: &[(&[u8], ParseError)]) {
    for (bytes, error) in cases {
        assert_refused(bytes, *error);
    }
}

/// Returns a POST with these field lines and this content.
fn post(fields: &[u8], content: &[u8]) -> Vec<u8> {
    [b"POST / HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n", content].concat()
}

/// Returns a chunked POST with this content.
fn chunked(content: &[u8]) -> Vec<u8> {
    post(b"Transfer-Encoding: chunked\r\n", content)
}

#[test]
fn every_error_has_its_status() {
    for (error, status) in [
        (ParseError::BareLineFeed, 400),
        (ParseError::ChunkExtensionsTooLarge, 400),
        (ParseError::Truncated, 400),
        (ParseError::TargetTooLong, 414),
        (ParseError::Expectation, 417),
        (ParseError::HeadTooLarge, 431),
        (ParseError::TooManyFields, 431),
        (ParseError::FieldNameTooLong, 431),
        (ParseError::TrailersTooLarge, 431),
        (ParseError::TooManyTrailers, 431),
        (ParseError::TransferCodingUnsupported, 501),
        (ParseError::ConnectUnsupported, 501),
        (ParseError::MethodTooLong, 501),
        (ParseError::VersionUnsupported, 505),
    ] {
        assert_eq!(error.status().as_u16(), status, "{error:?}");
    }
}

/// RFC 9112 §6.1: a request with both enables request smuggling.
#[test]
fn length_and_coding_together() {
    let length = b"Content-Length: 6\r\n".as_slice();
    for coding in [
        b"Transfer-Encoding: chunked\r\n".as_slice(),
        b"transfer-encoding: CHUNKED\r\n",
        b"TRANSFER-ENCODING: Chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding:\r\n",
    ] {
        for fields in [[length, coding].concat(), [coding, length].concat()] {
            assert_refused(&post(&fields, b"0\r\n\r\n"), ParseError::LengthAndCoding);
        }
    }
}

/// RFC 9112 §6.3, stricter: equal lengths are rejected too.
#[test]
fn repeated_content_length() {
    for fields in [
        b"Content-Length: 5\r\nContent-Length: 6\r\n".as_slice(),
        b"Content-Length: 6\r\nX: y\r\ncontent-length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 0\r\nContent-Length: 0\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: 5,\r\n",
        b"Content-Length: ,5\r\n",
    ] {
        assert_refused(&post(fields, b"hello"), ParseError::ContentLengthRepeated);
    }
}

/// RFC 9110 §8.6: digits and nothing else.
#[test]
fn malformed_content_length() {
    for value in [
        "+5",
        "-5",
        "-48",
        "-0",
        "0x10",
        "1_0",
        "5 5",
        "5;",
        "",
        " ",
        "1Z",
        "5.0",
        "5e0",
        "\"5\"",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1111111111111111111111111111111111111111",
        "５",
        "٥",
    ] {
        let fields = format!("Content-Length: {value}\r\n");
        assert_refused(&post(fields.as_bytes(), b"hello"), ParseError::ContentLength);
    }
}

/// RFC 9112 §6.1, §7.
#[test]
fn transfer_codings_other_than_one_chunked() {
    for value in [
        b"chunked, chunked".as_slice(),
        b"chunked,",
        b",chunked",
        b", chunked",
        b"chunked;q=1",
        b"identity",
        b"identity, chunked",
        b"xchunked",
        b"chunkedx",
        b"x chunked",
        b"blegh",
        b"blegh, chunked",
        b"gzip",
        b"chunked, gzip",
        b"gzip, chunked, chunked",
        b"gzip;q=1, chunked",
        b"\xa0chunked",
        b"chunked\xa0",
        b"\"chunked\"",
        b"chun ked",
        b"",
    ] {
        let fields = [b"Transfer-Encoding: ", value, b"\r\n"].concat();
        assert_refused(&post(&fields, b"0\r\n\r\n"), ParseError::TransferEncoding);
    }
    assert_refused(
        &post(
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            b"0\r\n\r\n",
        ),
        ParseError::TransferEncoding,
    );
    assert_refused(
        &post(
            b"Transfer-Encoding: gzip\r\ntransfer-encoding: chunked\r\n",
            b"0\r\n\r\n",
        ),
        ParseError::TransferEncoding,
    );
    assert_refused(
        &post(b"Transfer-Encoding: chunked\x0b\r\n", b"0\r\n\r\n"),
        ParseError::FieldValue,
    );
    for value in [
        "gzip, chunked",
        "gzip,chunked",
        "GZIP , deflate,\tChunked",
        "x-compress, chunked",
    ] {
        let fields = format!("Transfer-Encoding: {value}\r\n");
        assert_refused(
            &post(fields.as_bytes(), b"0\r\n\r\n"),
            ParseError::TransferCodingUnsupported,
        );
    }
}

/// RFC 9112 §6.1.
#[test]
fn transfer_encoding_in_http_1_0() {
    for coding in ["chunked", "identity", "gzip, chunked"] {
        let request = format!("POST / HTTP/1.0\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
        assert_refused(request.as_bytes(), ParseError::TransferEncodingInHttp10);
    }
}

/// RFC 9112 §5.1, §5.2.
#[test]
fn blanks_where_none_may_be() {
    assert_all_refused(&[
        (&post(b"Content-Length : 5\r\n", b"hello"), ParseError::FieldName),
        (&post(b"Content-Length\t: 5\r\n", b"hello"), ParseError::FieldName),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", ParseError::FoldedField),
        (b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", ParseError::FoldedField),
        (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", ParseError::RequestLine),
        (&post(b"X: a\r\n b\r\n", b""), ParseError::FoldedField),
        (&post(b"X: a\r\n\tb: c\r\n", b""), ParseError::FoldedField),
        (&post(b"X: a\r\n \r\n", b""), ParseError::FoldedField),
        (
            &post(b"Transfer-\r\nEncoding: chunked\r\n", b"0\r\n\r\n"),
            ParseError::FieldLine,
        ),
        (
            &post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
            ParseError::FoldedField,
        ),
    ]);
}

/// RFC 9110 §5.6.2.
#[test]
fn names_that_are_not_tokens() {
    assert_all_refused(&[
        (&post(b": x\r\n", b""), ParseError::FieldName),
        (&post(b"no colon\r\n", b""), ParseError::FieldLine),
        (&post(b"nocolon\r\n", b""), ParseError::FieldLine),
    ]);
    let separators = b"\"(),/;<=>?@[\\]{}".iter().copied();
    let bad = (0..=0x20).chain(separators).chain(0x7f..=0xff);
    for byte in bad.filter(|byte| ![b'\n', b':'].contains(byte)) {
        for name in [vec![b'X', byte], vec![b'X', byte, b'Y'], vec![byte, b'X']] {
            let fields = [name.as_slice(), b": y\r\n"].concat();
            let error = match name[0] {
                b' ' | b'\t' => ParseError::FoldedField,
                _ => ParseError::FieldName,
            };
            assert_refused(&post(&fields, b""), error);
        }
    }
}

/// RFC 9110 §5.5.
#[test]
fn control_characters_in_values() {
    let controls = (0..=0x1f).chain([0x7f]).filter(|byte| !matches!(byte, b'\t' | b'\n'));
    for byte in controls {
        for value in [
            [b' ', byte, b'b'],
            [b' ', b'a', byte],
            [b'a', byte, b' '],
            [byte, b' ', b'b'],
        ] {
            let fields = [b"X:", value.as_slice(), b"\r\n"].concat();
            // A CR before the CRLF of the line counts as a lone CR.
            assert_refused(&post(&fields, b""), ParseError::FieldValue);
        }
    }
    assert_refused(b"GET / HTTP/1.1\r\nHost: a\0.b\r\n\r\n", ParseError::FieldValue);
    assert_refused(&post(b"X: a\nb: c\r\n", b""), ParseError::BareLineFeed);
    assert_refused(&post(b"X: \n\r\n", b""), ParseError::BareLineFeed);
}

/// RFC 9112 §2.2 allows a recipient to read a lone LF as a line end, but proxies in between may not.
#[test]
fn line_ends_other_than_crlf() {
    assert_all_refused(&[
        (b"GET / HTTP/1.1\nHost: a\n\n", ParseError::BareLineFeed),
        (b"GET / HTTP/1.1\nHost: a\r\n\r\n", ParseError::BareLineFeed),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", ParseError::BareLineFeed),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", ParseError::BareLineFeed),
        (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", ParseError::BareLineFeed),
        (b"GET / HTTP/1.1\r\nX:\nHost: a\r\n\r\n", ParseError::BareLineFeed),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ParseError::BareLineFeed),
        (b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ParseError::BareLineFeed),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", ParseError::FieldName),
        (b"GET / HTTP/1.1\r\nHost: a\rEvil: b\r\n\r\n", ParseError::FieldValue),
        (b"GET / HTTP/1.1\rHost: a\r\n\r\n", ParseError::RequestLine),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ParseError::RequestLine),
        (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", ParseError::RequestLine),
    ]);
}

/// RFC 9112 §3, §3.2, §2.3.
#[test]
fn request_lines() {
    let line = |line: &[u8]| [line, b"\r\nHost: a\r\n\r\n"].concat();
    for (bytes, error) in [
        (b"GET  / HTTP/1.1".as_slice(), ParseError::RequestLine),
        (b"GET /  HTTP/1.1", ParseError::RequestLine),
        (b"GET\t/ HTTP/1.1", ParseError::Method),
        (b"GET /\tHTTP/1.1", ParseError::RequestLine),
        (b"GET / HTTP/1.1 ", ParseError::RequestLine),
        (b"GET / HTTP/1.1 x", ParseError::RequestLine),
        (b"GET / HTTP/1.1\t", ParseError::RequestLine),
        (b"GET / HTTP/1.1x", ParseError::RequestLine),
        (b"GET / x HTTP/1.1", ParseError::RequestLine),
        (b"GET /", ParseError::RequestLine),
        (b"GET", ParseError::RequestLine),
        (b"GET / ", ParseError::RequestLine),
        (b"GET / HTTP/1.10", ParseError::RequestLine),
        (b"GET / HTTP/1.32", ParseError::RequestLine),
        (b"GET / HTTP/11.1", ParseError::RequestLine),
        (b"GET / HTTP/1.", ParseError::RequestLine),
        (b"GET / HTTP/1", ParseError::RequestLine),
        (b"GET / HTTP/.1", ParseError::RequestLine),
        (b"GET / HTTP/1,1", ParseError::RequestLine),
        (b"GET / HTTP/+1.1", ParseError::RequestLine),
        (b"GET / http/1.1", ParseError::RequestLine),
        (b"GET / HTTPS/1.1", ParseError::RequestLine),
        (b"GET / \xef\xbc\x91", ParseError::RequestLine),
        (b"G=\":<>(e),[T];?\" / HTTP/1.1", ParseError::Method),
        (b"GET, / HTTP/1.1", ParseError::Method),
        (b"G\xc3\x89T / HTTP/1.1", ParseError::Method),
        (b"G\0T / HTTP/1.1", ParseError::Method),
        (b"GET /a\0b HTTP/1.1", ParseError::Target),
        (b"GET /a\x7f HTTP/1.1", ParseError::Target),
        (b"GET /a\tb HTTP/1.1", ParseError::Target),
        (b"GET /\x80 HTTP/1.1", ParseError::Target),
        (b"GET /\xc3\xa9 HTTP/1.1", ParseError::Target),
        (b"GET /#frag HTTP/1.1", ParseError::Target),
        (b"GET /a?b#c HTTP/1.1", ParseError::Target),
        (b"GET http://a/#c HTTP/1.1", ParseError::Target),
        (b"GET * HTTP/1.1", ParseError::Target),
        (b"GET a:80 HTTP/1.1", ParseError::Target),
        (b"GET a HTTP/1.1", ParseError::Target),
        (b"GET ?x HTTP/1.1", ParseError::Target),
        (b"GET \\ HTTP/1.1", ParseError::Target),
        (b"CONNECT / HTTP/1.1", ParseError::Target),
        (b"CONNECT a HTTP/1.1", ParseError::Target),
        (b"CONNECT a:80 HTTP/1.1", ParseError::ConnectUnsupported),
        (
            b"AMETHODOFTHIRTYTHREEBYTESABCDEFGH / HTTP/1.1",
            ParseError::MethodTooLong,
        ),
        (b"GET / HTTP/2.0", ParseError::VersionUnsupported),
        (b"GET / HTTP/0.9", ParseError::VersionUnsupported),
        (b"GET / HTTP/9.9", ParseError::VersionUnsupported),
    ] {
        assert_refused(&line(bytes), error);
    }
    assert_refused(b"GET /\nHTTP/1.1\r\nHost: a\r\n\r\n", ParseError::BareLineFeed);
    assert_refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ParseError::VersionUnsupported);
    assert_refused(b"\x16\x03\x01\x02\x00\x01\x00", ParseError::RequestLine);
}

/// RFC 9112 §3.2.
#[test]
fn malformed_hosts() {
    assert_refused(b"GET / HTTP/1.1\r\n\r\n", ParseError::HostMissing);
    assert_refused(b"GET http://a/ HTTP/1.1\r\n\r\n", ParseError::HostMissing);
    assert_refused(
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        ParseError::HostRepeated,
    );
    assert_refused(
        b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n",
        ParseError::HostRepeated,
    );
    for host in [
        "a,b", "a, a", "u@a", "[::1", "a b", "a/b", "a:b", "a:99999", "a?b", "a#b", "http://a", "é",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_refused(request.as_bytes(), ParseError::HostInvalid);
    }
    // A target's authority replaces Host (§3.2.2), but a malformed or repeated Host is still rejected.
    for (host, error) in [
        ("Host: a\r\nHost: a\r\n", ParseError::HostRepeated),
        ("Host: a\r\nHost: b\r\n", ParseError::HostRepeated),
        ("Host: a,b\r\n", ParseError::HostInvalid),
        ("Host: u@a\r\n", ParseError::HostInvalid),
        ("Host: a:x\r\n", ParseError::HostInvalid),
    ] {
        let request = format!("GET http://a/ HTTP/1.1\r\n{host}\r\n");
        assert_refused(request.as_bytes(), error);
    }
    for target in ["http://u@a/", "http://a,a/", "http:///", "http://", "http://[::1/"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_refused(request.as_bytes(), ParseError::Target);
    }
}

/// RFC 9112 §7.1.
#[test]
fn chunk_sizes() {
    for size in [
        "0x5",
        "+5",
        "-5",
        "-0x0",
        "5_0",
        "",
        " 5",
        "\t5",
        "5 ",
        "5\t",
        "5 5",
        "G",
        "5g",
        "5,5",
        "5h",
        "10000000000000005",
        "00000000000000005",
        "FFFFFFFFFFFFFFFF",
        "8000000000000000",
        "\u{ff15}",
    ] {
        let request = chunked(format!("{size}\r\nhello\r\n0\r\n\r\n").as_bytes());
        assert_refused(&request, ParseError::ChunkSize);
    }
    let digits = chunked(&[b'a'; 300]);
    let outcome = transcript::run(&digits, &Limits::default());
    assert_eq!(outcome.error, Some(ParseError::ChunkSize));
    assert_eq!(outcome.consumed, digits.len() - 300 + 16, "refused at digit 17");
}

/// RFC 9112 §7.1, §7.1.2.
#[test]
fn chunk_line_ends_and_trailers() {
    for (content, error) in [
        (b"5\nhello\r\n0\r\n\r\n".as_slice(), ParseError::ChunkSize),
        (b"5\rhello\r\n0\r\n\r\n", ParseError::ChunkSize),
        (b"5\r\r;ABCD\r\n", ParseError::ChunkSize),
        (b"5\r\nhello0\r\n\r\n", ParseError::ChunkEnd),
        (b"5\r\nhello\n0\r\n\r\n", ParseError::ChunkEnd),
        (b"5\r\nhelloX\n0\r\n\r\n", ParseError::ChunkEnd),
        (b"5\r\nhello\r0\r\n\r\n", ParseError::ChunkEnd),
        (b"5\r\nhello \r\n0\r\n\r\n", ParseError::ChunkEnd),
        (b"5;a=b\nhello\r\n0\r\n\r\n", ParseError::ChunkExtension),
        (b"0\n\r\n", ParseError::ChunkSize),
        (b"0\r\n\n", ParseError::BareLineFeed),
        (b"0\r\nX: y\n\r\n", ParseError::BareLineFeed),
        (b"0\r\nX: y\r\n\n", ParseError::BareLineFeed),
        (b"0\r\nX:POST / HTTP/1.1\r\n\r\n", ParseError::TrailerRequestLine),
        (b"0\r\nX: GET /canary HTTP/1.1\r\n\r\n", ParseError::TrailerRequestLine),
        (b"INVALID\r\n", ParseError::ChunkSize),
        (b"0\r\nGET /canary HTTP/1.1\r\nHost: a\r\n\r\n", ParseError::FieldLine),
        (b"0\r\n\rX: y\r\n\r\n", ParseError::FieldName),
    ] {
        assert_refused(&chunked(content), error);
    }
}

/// RFC 9112 §7.1.1.
#[test]
fn chunk_extensions() {
    for (content, error) in [
        (b"5;a=\0\r\nhello\r\n0\r\n\r\n".as_slice(), ParseError::ChunkExtension),
        (b"5;a=\x7f\r\nhello\r\n0\r\n\r\n", ParseError::ChunkExtension),
        (b"5;a\rb\r\nhello\r\n0\r\n\r\n", ParseError::ChunkSize),
        (b"5;a=\"x\r\ny\"\r\nhello\r\n0\r\n\r\n", ParseError::ChunkExtension),
        (b"5;a=\"x\\\r\ny\"\r\nhello\r\n0\r\n\r\n", ParseError::ChunkExtension),
        (b"5;a=\"\\\"\r\nhello\r\n0\r\n\r\n", ParseError::ChunkExtension),
    ] {
        assert_refused(&chunked(content), error);
    }
}

/// RFC 9112 §7.1.2: a malformed trailer is rejected like a malformed field.
#[test]
fn malformed_trailers() {
    for (trailer, error) in [
        (b"nocolon\r\n".as_slice(), ParseError::FieldLine),
        (b"X : y\r\n", ParseError::FieldName),
        (b": y\r\n", ParseError::FieldName),
        (b"X: a\0\r\n", ParseError::FieldValue),
        (b"X: a\rb\r\n", ParseError::FieldValue),
        (b"X: a\r\n b\r\n", ParseError::FoldedField),
        (b" X: a\r\n", ParseError::FoldedField),
    ] {
        let request = chunked(&[b"2\r\nhi\r\n0\r\n", trailer, b"\r\n"].concat());
        assert_refused(&request, error);
    }
}

/// RFC 9110 §10.1.1.
#[test]
fn unknown_expectations() {
    for value in [
        "y",
        "y 100-continue",
        "100-continue, x",
        "x, 100-continue",
        "100-continue, 100-continue",
        "100-continue;q=1",
        "100",
        "\"100-continue\"",
        "",
    ] {
        let fields = format!("Expect: {value}\r\nContent-Length: 5\r\n");
        assert_refused(&post(fields.as_bytes(), b"hello"), ParseError::Expectation);
    }
    assert_refused(
        &post(
            b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n",
            b"hello",
        ),
        ParseError::Expectation,
    );
}

/// Lengths near the edges of integers are rejected or read as long, never wrapped.
#[test]
fn lengths_near_the_edges_of_integers() {
    for length in [u64::MAX, u64::MAX - 1, 1 << 63] {
        let fields = format!("Content-Length: {length}\r\n");
        assert_refused(&post(fields.as_bytes(), b""), ParseError::ContentLength);
        assert_refused(&chunked(format!("{length:x}\r\n").as_bytes()), ParseError::ChunkSize);
    }
    for length in [(1_u64 << 63) - 1, 1 << 32, (1 << 32) - 1, 1 << 31, 1 << 32 | 5] {
        for request in [
            post(format!("Content-Length: {length}\r\n").as_bytes(), b""),
            chunked(format!("{length:X}\r\n").as_bytes()),
        ] {
            let outcome = transcript::run(&[request.as_slice(), CANARY].concat(), &Limits::default());
            assert_eq!(
                (outcome.error, outcome.content().as_slice()),
                (None, CANARY),
                "{length}"
            );
            assert_eq!(outcome.requests().count(), 1, "{length}");
        }
    }
}
