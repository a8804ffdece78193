//! Heads that two servers could read in two ways (RFC 9112 §2–§6, RFC 9110 §5, §8.6).

use super::{get_line, post_lines};
use crate::harness::*;

/// RFC 9112 §6.1: a request with both framing fields is refused, in either order and any case
/// (`docs/threats.md#length-and-coding`).
#[test]
fn refuses_content_length_with_transfer_encoding() {
    let pairs: [[&[u8]; 2]; 5] = [
        [b"Content-Length: 6", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 6"],
        [b"CONTENT-LENGTH: 6", b"transfer-encoding: Chunked"],
        [b"transfer-ENCODING: CHUNKED", b"content-length: 6"],
        [b"Content-Length: 0", b"Transfer-Encoding: chunked"],
    ];
    all_refused(&pairs.map(|pair| post_lines(&pair, b"0\r\n\r\n")), 400);
}

/// RFC 9112 §6.3, RFC 9110 §8.6: more than one length is refused, even when they are equal
/// (`docs/threats.md#repeated-content-length`).
#[test]
fn refuses_repeated_content_length() {
    all_refused(
        &[
            post_lines(&[b"Content-Length: 5", b"Content-Length: 6"], b"hello"),
            post_lines(&[b"Content-Length: 6", b"Content-Length: 5"], b"hello"),
            post_lines(&[b"Content-Length: 5, 6"], b"hello"),
            post_lines(&[b"Content-Length: 5", b"Content-Length: 5"], b"hello"),
            post_lines(&[b"Content-Length: 5", b"X: y", b"content-length: 5"], b"hello"),
            post_lines(&[b"Content-Length: 5, 5"], b"hello"),
            post_lines(&[b"Content-Length: 5,5"], b"hello"),
        ],
        400,
    );
}

/// RFC 9110 §8.6: a length is decimal digits and fits 64 bits (`docs/threats.md#malformed-content-length`).
#[test]
fn refuses_a_content_length_that_is_not_decimal_digits() {
    let values: [&[u8]; 16] = [
        b"+5",
        b"-5",
        b"-48",
        b"0x10",
        b"1_0",
        b"5 5",
        b"5;",
        b"",
        b" ",
        b"1Z",
        b"foo",
        b"18446744073709551616",
        b"9999999999999999999999999999999999999999",
        b"\xef\xbc\x95",
        b"5,",
        b"5.0",
    ];
    all_refused(
        &values.map(|value| post_lines(&[&bytes(&[b"Content-Length: ", value])], b"hello")),
        400,
    );
}

/// RFC 9112 §6.1, §7: the only supported transfer coding is one `chunked` (`docs/threats.md#transfer-codings`).
#[test]
fn refuses_a_transfer_encoding_that_is_not_exactly_chunked() {
    let values: [&[u8]; 8] = [
        b"chunked, chunked",
        b",chunked",
        b"chunked;q=1",
        b"identity",
        b"xchunked",
        b"blegh",
        b"\xa0chunked",
        b"chunked\x0b",
    ];
    let mut requests: Vec<Vec<u8>> = values
        .iter()
        .map(|value| post_lines(&[&bytes(&[b"Transfer-Encoding: ", value])], b"0\r\n\r\n"))
        .collect();
    requests.push(post_lines(
        &[b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        b"0\r\n\r\n",
    ));
    all_refused(&requests, 400);
}

/// RFC 9112 §6.1: an unsupported coding gets 501; one that leaves the end of the body open gets 400 (§6.3). Where
/// both hold, either will do (`docs/threats.md#transfer-codings`).
#[test]
fn answers_501_to_a_coding_it_does_not_implement() {
    let server = Server::shared();
    refused(
        &server,
        &post_lines(&[b"Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n"),
        501,
    )
    .unwrap();
    for value in [
        "gzip",
        "chunked, gzip",
        "chunked, identity",
        "chunked\r\nTransfer-Encoding: identity",
    ] {
        let field = format!("Transfer-Encoding: {value}");
        let request = post_lines(&[field.as_bytes()], b"0\r\n\r\n");
        refused_with_one_of(&server, &request, &[400, 501]).unwrap();
    }
}

/// RFC 9112 §6.1: HTTP/1.0 has no transfer codings; such a request is refused
/// (`docs/threats.md#transfer-encoding-in-http-1-0`).
#[test]
fn refuses_transfer_encoding_in_http_1_0() {
    all_refused(
        &[
            b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            b"POST /echo HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_vec(),
        ],
        400,
    );
}

/// RFC 9112 §6.3: a request body never ends with the connection; without a length it is empty
/// (`docs/threats.md#transfer-encoding-in-http-1-0`).
#[test]
fn reads_an_http_1_0_post_without_length_as_empty() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection.send_if_open(&bytes(&[b"POST /echo HTTP/1.0\r\nHost: a\r\n\r\n", CANARY]));
    connection.response("POST").unwrap().expect(200, b"").unwrap();
    connection.expect_closed().unwrap();
}

/// RFC 9112 §5.1, §5.2, §2.2: no whitespace before the colon, before the first field, or as line folding
/// (`docs/threats.md#misplaced-whitespace`).
#[test]
fn refuses_misplaced_whitespace_and_folding() {
    all_refused(
        &[
            post_lines(&[b"Content-Length : 5"], b"hello"),
            post_lines(&[b"Content-Length\t: 5"], b"hello"),
            post_lines(&[b"Transfer-Encoding : chunked"], b"0\r\n\r\n"),
            b"GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n".to_vec(),
            get_line(b"X: a\r\n b"),
            get_line(b"X: a\r\n\tb"),
            get_line(b"X: a\r\n b: c"),
            post_lines(&[b"Transfer-\r\nEncoding: chunked"], b"0\r\n\r\n"),
            post_lines(&[b"Transfer-Encoding:\r\n chunked"], b"0\r\n\r\n"),
        ],
        400,
    );
}

/// RFC 9110 §5.1, §5.6.2: a field name is a token (`docs/threats.md#malformed-field-name`).
#[test]
fn refuses_a_field_name_that_is_not_a_token() {
    let mut requests = vec![
        get_line(b": x"),
        get_line(b":"),
        get_line(b"x"),
        get_line(b"no colon at all"),
    ];
    let controls = 0x00..=0x20;
    let high = 0x7f..=0xff;
    for byte in controls.chain(high).chain(*b"\"(),/;<=>?@[\\]{}") {
        requests.push(get_line(&[b'X', byte, b'A', b':', b' ', b'v']));
    }
    all_refused(&requests, 400);
}

/// A name with `_` differs from the one with `-`: it is refused, or has no effect on framing
/// (`docs/threats.md#malformed-field-name`).
#[test]
fn never_takes_an_underscore_for_a_hyphen() {
    let server = Server::shared();
    let length = format!("Content_Length: {}", CANARY.len());
    let mut connection = server.connect();
    connection.send_if_open(&bytes(&[&post_lines(&[length.as_bytes()], b""), CANARY]));
    let first = connection.response("POST").unwrap();
    if first.status == 400 {
        connection.expect_closed().unwrap();
    } else {
        first.expect(200, b"").unwrap();
        connection.response("GET").unwrap().expect(200, SONG).unwrap();
    }

    let mut connection = server.connect();
    connection.send_if_open(&bytes(&[
        &post_lines(&[b"Transfer_Encoding: chunked"], b"0\r\n\r\n"),
        CANARY,
    ]));
    let responses = connection.responses_until_end(&["POST"]).unwrap();
    let statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
    assert!(statuses == [400] || statuses == [200, 400], "{responses:?}");
}

/// RFC 9110 §5.5, RFC 9112 §2.2: control characters in a value are refused; nothing is repaired
/// (`docs/threats.md#control-characters`).
#[test]
fn refuses_control_characters_in_a_field_value() {
    let mut requests = vec![
        get_line(b"X: a\rb"),
        get_line(b"X: a\nb"),
        get_line(b"X: a\nY: b"),
        get_line(b"X: a\r\r"),
        get_line(b"X: \0"),
        b"GET / HTTP/1.1\r\nHost: a\0.b\r\n\r\n".to_vec(),
        post_lines(&[b"X: a\rContent-Length: 5"], b"hello"),
        post_lines(&[b"X: a\nTransfer-Encoding: chunked"], b"0\r\n\r\n"),
    ];
    for byte in (0x00..=0x1f).chain([0x7f]).filter(|byte| *byte != b'\t') {
        requests.push(get_line(&[b'X', b':', b' ', b'a', byte, b'b']));
    }
    all_refused(&requests, 400);
}

/// RFC 9112 §2.2: lines end in CRLF; neither a lone LF nor a lone CR ends one (`docs/threats.md#bare-line-feed`).
#[test]
fn refuses_lines_that_do_not_end_in_crlf() {
    all_refused(
        &[
            b"GET / HTTP/1.1\nHost: a\n\n".to_vec(),
            b"GET / HTTP/1.0\nHost: a\n\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\n\r\n".to_vec(),
            b"GET / HTTP/1.1\nHost: a\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\n\rX".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\n\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\rEvil: b\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\rHost: a\r\r".to_vec(),
        ],
        400,
    );
}

/// RFC 9112 §3: exactly `method SP request-target SP HTTP-version`; the server does not guess
/// (`docs/threats.md#malformed-request-line`).
#[test]
fn refuses_a_malformed_request_line() {
    let lines: [&[u8]; 32] = [
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET /\tHTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET / HTTP/1.1 junk",
        b"GET / HTTP/1.1\t",
        b"GET / HTTP/1.1junk",
        b"GET / HTTP/1.10",
        b"GET / HTTP/1.32",
        b"GET / HTTP/1.",
        b"GET / HTTP/1",
        b"GET / http/1.1",
        b"GET / Http/1.1",
        b"GET / HTTP 1.1",
        b"GET / HTTP/1,1",
        b"GET / HTTPS/1.1",
        b"GET /",
        b"GET",
        b"GET HTTP/1.1",
        b"GET /\nHTTP/1.1",
        b"G=\":<>( / HTTP/1.1",
        b"FOO,BAR / HTTP/1.1",
        b"G\x80T / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /a\x01b HTTP/1.1",
        b"GET /a\x7fb HTTP/1.1",
        b"GET /a\0b HTTP/1.1",
        b"GET /#frag HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET p/canary HTTP/1.1",
    ];
    let mut requests: Vec<Vec<u8>> = lines
        .iter()
        .map(|line| bytes(&[line, b"\r\nHost: a\r\n\r\n"]))
        .collect();
    for byte in [0x80, 0xa0, 0xe9, 0xff] {
        requests.push(bytes(&[b"GET /a", &[byte], b"b HTTP/1.1\r\nHost: a\r\n\r\n"]));
    }
    requests.push(bytes(&["GET /é HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes()]));
    all_refused(&requests, 400);
}

/// RFC 9110 §15.6.6: another major version is unsupported (`docs/threats.md#malformed-request-line`).
#[test]
fn answers_505_to_another_major_version() {
    let versions = ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"];
    all_refused(
        &versions.map(|version| format!("GET / {version}\r\nHost: a\r\n\r\n").into_bytes()),
        505,
    );
}

/// RFC 9112 §3.2: exactly one valid `Host`, also beside an absolute-form target (§3.2.2)
/// (`docs/threats.md#invalid-host`).
#[test]
fn refuses_a_missing_repeated_or_malformed_host() {
    all_refused(
        &[
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nX: y\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a:x\r\n\r\n".to_vec(),
            b"GET http://a/ HTTP/1.1\r\n\r\n".to_vec(),
            b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_vec(),
            b"GET http://a/ HTTP/1.1\r\nHost: a, b\r\n\r\n".to_vec(),
            b"GET http://a/ HTTP/1.1\r\nHost: u@a\r\n\r\n".to_vec(),
        ],
        400,
    );
}
