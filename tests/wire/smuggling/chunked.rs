//! Chunked bodies that two servers could read in two ways (RFC 9112 §7.1).

use crate::harness::*;

/// RFC 9112 §7.1: a chunk size is hexadecimal digits, at most sixteen of them
/// (`docs/threats.md#malformed-chunk-size`).
#[test]
fn refuses_a_malformed_chunk_size() {
    let sizes: [&[u8]; 11] = [
        b"0x5",
        b"+5",
        b"-0x0",
        b"-5",
        b"5_0",
        b"",
        b" 5",
        b"5 ",
        b"G",
        b"10000000000000005",
        b"00000000000000005",
    ];
    all_refused(
        &sizes.map(|size| post_chunked(&bytes(&[size, b"\r\nhello\r\n0\r\n\r\n"]))),
        400,
    );
}

/// The largest chunk size is refused as malformed or too large, and never wraps
/// (`docs/threats.md#malformed-chunk-size`).
#[test]
fn refuses_the_largest_chunk_size() {
    let server = Server::shared();
    for size in [
        "FFFFFFFFFFFFFFFF",
        "ffffffffffffffff",
        "8000000000000000",
        "fffffffffffffffb",
    ] {
        let request = post_chunked(format!("{size}\r\nhello\r\n0\r\n\r\n").as_bytes());
        refused_with_one_of(&server, &request, &[400, 413]).unwrap();
    }
    let wrapping = post_chunked(b"5\r\nhello\r\nFFFFFFFFFFFFFFFB\r\n\r\n0\r\n\r\n");
    refused_with_one_of(&server, &wrapping, &[400, 413]).unwrap();
}

/// Endless hexadecimal digits are refused at the seventeenth, at any pace (`docs/threats.md#malformed-chunk-size`).
#[test]
fn refuses_endless_chunk_size_digits() {
    let server = Server::shared();
    for digit in *b"0aF" {
        let mut connection = server.connect();
        connection.send(&post_chunked(b"")).unwrap();
        let sending = connection.send_in_background(vec![digit; 300 * 1024], 1);
        expect_refusal(&mut connection, &[400]).unwrap();
        drop(sending);
    }
}

/// RFC 9112 §7.1: every line of a chunked body ends in CRLF, and parsing stops at an error
/// (`docs/threats.md#malformed-chunked-content`).
#[test]
fn refuses_malformed_chunked_bodies() {
    let bodies: [&[u8]; 13] = [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\r;ABCD\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\rX0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5;a=b\nhello\r\n0\r\n\r\n",
        b"5;a=b\rhello\r\n0\r\n\r\n",
        b"0\n\n",
        b"0\r\n\n",
        b"INVALID\r\n",
    ];
    all_refused(&bodies.map(post_chunked), 400);
}

/// `0 CRLF X:POST / HTTP/1.1` is a last chunk with a trailer called `X` (RFC 9112 §7.1.2), or it is refused; it is
/// never a second request (`docs/threats.md#malformed-chunked-content`).
#[test]
fn never_reads_a_request_line_out_of_a_trailer() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection.send_if_open(&bytes(&[&post_chunked(b"0\r\nX:POST / HTTP/1.1\r\n\r\n"), CANARY]));
    let first = connection.response("POST").unwrap();
    if first.status == 400 {
        connection.expect_closed().unwrap();
    } else {
        first.expect(200, b"").unwrap();
        connection.response("GET").unwrap().expect(200, SONG).unwrap();
    }
}

/// RFC 9112 §7.1.1: valid extensions are ignored; malformed ones are refused (`docs/threats.md#chunk-extensions`).
#[test]
fn refuses_chunk_extensions_with_control_characters() {
    all_refused(
        &[
            post_chunked(b"5;a=\0\r\nhello\r\n0\r\n\r\n"),
            post_chunked(b"5;a\0b=c\r\nhello\r\n0\r\n\r\n"),
            post_chunked(b"5;a=\"x\r\ny\"\r\nhello\r\n0\r\n\r\n"),
            post_chunked(b"0;a=\0\r\n\r\n"),
        ],
        400,
    );
}

/// All extensions of one body together may have 4 KiB (`docs/threats.md#chunk-extensions`).
#[test]
fn refuses_more_than_4_kib_of_chunk_extensions() {
    let extension = |length: usize| bytes(&[b";", &vec![b'e'; length]]);
    let one = bytes(&[b"5", &extension(64 * 1024), b"\r\nhello\r\n0\r\n\r\n"]);
    let mut many = Vec::new();
    for _ in 0..64 {
        many.extend(bytes(&[b"1", &extension(4 * 1024 - 1), b"\r\nx\r\n"]));
    }
    many.extend_from_slice(b"0\r\n\r\n");
    all_refused(&[post_chunked(&one), post_chunked(&many)], 400);
}

/// RFC 9110 §6.5.1: trailers that would change framing, routing or authority have no effect. The body ends with them
/// and the next request is read (`docs/threats.md#trailers`).
#[test]
fn gives_forbidden_trailers_no_effect() {
    let server = Server::shared();
    let trailers = [
        "Content-Length: 100",
        "Host: evil",
        "Authorization: Basic eDp5",
        "Cookie: a=b",
        "X-Forwarded-For: 1.2.3.4",
    ];
    for_each_case(
        trailers,
        |trailer| (*trailer).to_owned(),
        |trailer| {
            let head = get_with("/headers", b"Transfer-Encoding: chunked\r\n");
            let mut connection = server.connect();
            connection.send(&bytes(&[&head, b"0\r\n", trailer.as_bytes(), b"\r\n\r\n", CANARY]))?;
            let response = connection.response("GET")?;
            response.expect_status(200)?;
            ensure(
                response.body.trim_ascii_end() == b"host: a\ntransfer-encoding: chunked",
                || format!("the handler saw \"{}\"", show(&response.body)),
            )?;
            connection.response("GET")?.expect(200, SONG)
        },
    );
}

/// RFC 9112 §7.1.2, §5: a trailer is a field line and is refused like one (`docs/threats.md#trailers`).
#[test]
fn refuses_malformed_trailers() {
    let trailers: [&[u8]; 8] = [
        b"no colon",
        b": x",
        b"X : y",
        b"X Y: z",
        b"X: a\r\n b",
        b"X: \0",
        b"X: a\nY: b",
        b"X: a\rb",
    ];
    all_refused(
        &trailers.map(|trailer| post_chunked(&bytes(&[b"5\r\nhello\r\n0\r\n", trailer, b"\r\n\r\n"]))),
        400,
    );
}

/// Endless trailers are refused with 431 (`docs/threats.md#trailers`).
#[test]
fn refuses_endless_trailers() {
    let server = Server::shared();
    for_each_case(
        [
            b"X: y\r\n".to_vec(),
            vec![b'X'; 1024],
            bytes(&[b"X: ", &vec![b'y'; 4096], b"\r\n"]),
        ],
        |trailer| show(trailer),
        |trailer| {
            let mut connection = server.connect();
            connection.send(&post_chunked(b"5\r\nhello\r\n0\r\n"))?;
            let trailer = trailer.clone();
            let sending = connection.repeat_in_background(std::iter::repeat_n(trailer, 100_000), usize::MAX);
            let refusal = expect_refusal(&mut connection, &[431]);
            drop(sending);
            refusal
        },
    );
}
