//! RFC 9112 §6–§8: the end of a body, in both directions: `Content-Length`, chunked, trailers, and no body at all.
//!
//! Requests that must be refused are in `smuggling`.

use crate::harness::*;

/// RFC 9112 §6.2: a body has the announced number of bytes, of any value.
#[test]
fn reads_a_body_of_announced_length_byte_for_byte() {
    let server = Server::shared();
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    for_each_case(
        [Vec::new(), b"hello".to_vec(), every_byte, CANARY.to_vec(), large],
        |body| show(body),
        |body| answered(&server, &post_length(body), 200, body),
    );
}

/// RFC 9110 §8.6: `Content-Length` is decimal digits with optional whitespace around; `010` is ten
/// (`docs/threats.md#malformed-content-length`).
#[test]
fn reads_content_length_as_decimal() {
    let server = Server::shared();
    for_each_case(
        [
            "Content-Length: 010",
            "Content-Length:10",
            "Content-Length:  \t10 \t",
            "Content-Length: 0000000010",
        ],
        |field| (*field).to_owned(),
        |field| {
            answered(
                &server,
                &post(format!("{field}\r\n").as_bytes(), b"0123456789"),
                200,
                b"0123456789",
            )
        },
    );
}

/// RFC 9112 §6.3, rule 7: a request with neither length nor coding has no body.
#[test]
fn reads_a_request_without_framing_fields_as_empty() {
    let server = Server::shared();
    answered(&server, &post(b"", b""), 200, b"").unwrap();
}

/// RFC 9112 §7.1: sizes are hexadecimal of either case, with leading zeros up to sixteen digits; data may hold CRLF.
#[test]
fn decodes_chunked_bodies() {
    let server = Server::shared();
    for_each_case(
        [
            (&b"0\r\n\r\n"[..], &b""[..]),
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", b"hello"),
            (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
            (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
            (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"5\r\nhello\r\n0000\r\n\r\n", b"hello"),
            (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"),
            (b"3\r\n\x00\xff\n\r\n0\r\n\r\n", b"\x00\xff\n"),
        ],
        |(chunks, _)| show(chunks),
        |(chunks, body)| answered(&server, &post_chunked(chunks), 200, body),
    );
}

/// RFC 9112 §7.1.1: a recipient must ignore extensions it does not know.
#[test]
fn ignores_chunk_extensions() {
    let server = Server::shared();
    for_each_case(
        [
            &b"5;a\r\nhello\r\n0\r\n\r\n"[..],
            b"5;a=b\r\nhello\r\n0\r\n\r\n",
            b"5;a=b;c=\"d;e\"\r\nhello\r\n0;last\r\n\r\n",
        ],
        |chunks| show(chunks),
        |chunks| answered(&server, &post_chunked(chunks), 200, b"hello"),
    );
}

/// RFC 9112 §7: names of transfer codings are case-insensitive (`docs/threats.md#transfer-codings`).
#[test]
fn knows_chunked_in_any_case() {
    let server = Server::shared();
    for_each_case(
        ["chunked", "Chunked", "CHUNKED", "cHuNkEd"],
        |coding| (*coding).to_owned(),
        |coding| {
            let field = format!("Transfer-Encoding: {coding}\r\n");
            answered(
                &server,
                &post(field.as_bytes(), b"5\r\nhello\r\n0\r\n\r\n"),
                200,
                b"hello",
            )
        },
    );
}

/// RFC 9112 §7.1.2: the trailer section belongs to the body, so the next request begins after it.
#[test]
fn ends_a_chunked_body_after_its_trailers() {
    let server = Server::shared();
    for_each_case(
        [
            &b"5\r\nhello\r\n0\r\nX-Checksum: 1\r\n\r\n"[..],
            b"0\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n",
            b"0\r\nX-Empty:\r\n\r\n",
        ],
        |chunks| show(chunks),
        |chunks| {
            let body = if chunks.starts_with(b"5") { &b"hello"[..] } else { b"" };
            let mut connection = server.connect();
            connection.send(&bytes(&[&post_chunked(chunks), CANARY]))?;
            connection.response("POST")?.expect(200, body)?;
            connection.response("GET")?.expect(200, SONG)
        },
    );
}

/// RFC 9112 §7.1.3, RFC 9110 §6.5.1: a trailer is never merged into the fields of the head
/// (`docs/threats.md#trailers`).
#[test]
fn keeps_trailers_apart_from_the_head() {
    let server = Server::shared();
    let mut connection = server.connect();
    let request = get_with("/headers", b"Transfer-Encoding: chunked\r\nX-Head: 1\r\n");
    connection
        .send(&bytes(&[&request, b"0\r\nX-Trailer: 2\r\nX-Head: 3\r\n\r\n"]))
        .unwrap();
    let response = connection.response("GET").unwrap();
    response.expect_status(200).unwrap();
    assert_eq!(
        response.body.trim_ascii_end(),
        b"host: a\ntransfer-encoding: chunked\nx-head: 1"
    );
    still_usable(&mut connection).unwrap();
}

/// RFC 9112 §6.3, §8: a body that ends with the connection before its announced end is incomplete, and never answered
/// as whole.
#[test]
fn never_answers_a_truncated_body_as_a_whole_one() {
    let server = Server::shared();
    for_each_case(
        [
            post(b"Content-Length: 10\r\n", b"hello"),
            post_chunked(b"5\r\nhel"),
            post_chunked(b"5\r\nhello\r\n"),
            post_chunked(b"5\r\nhello\r\n0\r\n"),
            post_chunked(b"5\r\nhello\r\n0\r\nX-A: 1\r\n"),
            post_chunked(b"5\r\nhello\r\n0"),
            post_chunked(b"0"),
        ],
        |request| show(request),
        |request| {
            let mut connection = server.connect();
            connection.tolerate_reset();
            connection.send(request)?;
            connection.half_close()?;
            for response in connection.responses_until_end(&["POST"])? {
                ensure((400..500).contains(&response.status), || {
                    format!("answered {response:?}")
                })?;
            }
            Ok(())
        },
    );
}

/// RFC 9112 §6.1, §7.1: content of unknown length is sent chunked, and the connection persists.
#[test]
fn sends_content_of_unknown_length_chunked() {
    let server = Server::shared();
    let mut connection = server.connect();
    let response = connection.exchange(&get("/stream"), "GET").unwrap();
    response.expect(200, b"onetwothree").unwrap();
    assert_eq!(response.framing, Framing::Chunked);
    assert!(response.chunks.iter().all(|chunk| !chunk.is_empty()), "{response:?}");
    still_usable(&mut connection).unwrap();
}

/// RFC 9112 §6.1, §6.3: a server must not send `Transfer-Encoding` to HTTP/1.0. The body then ends with the
/// connection, even if the client asked for keep-alive.
#[test]
fn ends_content_of_unknown_length_for_http_1_0_with_the_connection() {
    let server = Server::shared();
    for_each_case(
        [
            &b"GET /stream HTTP/1.0\r\n\r\n"[..],
            b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        ],
        |request| show(request),
        |request| {
            let mut connection = server.connect();
            let response = connection.exchange(request, "GET")?;
            response.expect(200, b"onetwothree")?;
            ensure(response.framing == Framing::Close, || {
                format!("framed as {:?}", response.framing)
            })?;
            ensure(!response.list("connection").contains(&"keep-alive".to_owned()), || {
                format!("promises keep-alive although it must close: {response:?}")
            })?;
            connection.expect_closed()
        },
    );
}

/// RFC 9112 §6.2: large content arrives whole and nothing follows it.
#[test]
fn sends_large_content_whole() {
    let server = Server::shared();
    for_each_case(
        [0_usize, 1, 16 * 1024, 65_536, 1_000_003],
        |length| length.to_string(),
        |length| {
            let mut connection = server.connect();
            let response = connection.exchange(&get(&format!("/big?n={length}")), "GET")?;
            response.expect_status(200)?;
            ensure(
                response.body.len() == *length && response.body.iter().all(|byte| *byte == b'x'),
                || format!("got {} bytes, or others than x", response.body.len()),
            )?;
            still_usable(&mut connection)
        },
    );
}
