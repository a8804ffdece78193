//! The limits of a server at limit − 1, limit and limit + 1. Each refusal has its status and a close that the
//! client can read (RFC 9110 §15.5.14–15, RFC 6585 §5, RFC 9112 §3, §9.6).
//!
//! Where the specification leaves the count open, the test takes the widest reading for what must pass and the
//! narrowest for what must not.

use crate::harness::*;

/// A body, as `Content-Length` and as chunks of at most 100 bytes.
fn bodies(length: usize) -> [Vec<u8>; 2] {
    let body = vec![b'b'; length];
    let mut chunks = Vec::new();
    for piece in body.chunks(100) {
        chunks.extend(bytes(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"]));
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    [post_length(&body), post_chunked(&chunks)]
}

/// A GET of `/` whose whole head has this many bytes, request line and empty line included.
fn head_of(length: usize) -> Vec<u8> {
    let rest = get_with("/", b"X: \r\n").len();
    get_with("/", &bytes(&[b"X: ", &vec![b'v'; length - rest], b"\r\n"]))
}

/// A GET of `/` with this many field lines, `Host` among them.
fn head_with_fields(count: usize) -> Vec<u8> {
    get_with("/", &b"X: y\r\n".repeat(count - 1))
}

/// A target of this many bytes that `/q` answers.
fn target_of(length: usize) -> String {
    format!("/q?x={}", "t".repeat(length - "/q?x=".len()))
}

/// RFC 9112 §3: a target longer than the limit is 414.
#[test]
fn refuses_a_target_over_the_limit() {
    let server = Server::start("conformance", &["--max-target-bytes", "100"]);
    for length in [99, 100] {
        let target = target_of(length);
        answered(&server, &get(&target), 200, &target.as_bytes()[5..]).unwrap();
    }
    refused(&server, &get(&target_of(101)), 414).unwrap();
    refused(&server, &get(&target_of(5000)), 414).unwrap();
}

/// RFC 9112 §3: the default for the request line is 8 KiB; a recipient should support at least 8000 bytes.
#[test]
fn accepts_8000_bytes_of_request_line_and_refuses_more_than_8_kib() {
    let server = Server::shared();
    let longest = target_of(8000);
    answered(&server, &get(&longest), 200, &longest.as_bytes()[5..]).unwrap();
    refused(&server, &get(&target_of(8193)), 414).unwrap();
}

/// RFC 9112 §3: an endless target is refused while it arrives.
#[test]
fn refuses_an_endless_target() {
    let server = Server::shared();
    let mut connection = server.connect();
    let sending = connection.send_in_background(bytes(&[b"GET /", &vec![b't'; 1024 * 1024]]), 1000);
    expect_refusal(&mut connection, &[414]).unwrap();
    drop(sending);
}

/// RFC 9112 §3: an endless method is refused too, with any 4xx or 501.
#[test]
fn refuses_an_endless_method() {
    let server = Server::shared();
    let mut connection = server.connect();
    let sending = connection.send_in_background(vec![b'M'; 1024 * 1024], 1000);
    expect_refusal(&mut connection, &[400, 414, 431, 501]).unwrap();
    drop(sending);
}

/// RFC 6585 §5: a header block over the limit is 431. A whole head of the limit passes however the block is counted; field
/// lines over the limit do not.
#[test]
fn refuses_a_header_block_over_the_limit() {
    let server = Server::start("conformance", &["--max-header-bytes", "1000"]);
    let outside_fields = "GET / HTTP/1.1\r\n\r\n".len();
    for length in [999, 1000] {
        answered(&server, &head_of(length), 200, b"ok").unwrap();
    }
    refused(&server, &head_of(1001 + outside_fields), 431).unwrap();
    refused(&server, &head_of(5000), 431).unwrap();
}

/// RFC 6585 §5: the default for the header block is 32 KiB.
#[test]
fn accepts_32_kib_of_head_and_refuses_more() {
    let server = Server::shared();
    answered(&server, &head_of(32 * 1024), 200, b"ok").unwrap();
    refused(&server, &head_of(32 * 1024 + 32), 431).unwrap();
    refused(&server, &head_of(200 * 1024), 431).unwrap();
}

/// RFC 6585 §5: more fields than the limit are 431; `Host` counts like any other.
#[test]
fn refuses_more_fields_than_the_limit() {
    let server = Server::start("conformance", &["--max-header-count", "10"]);
    for count in [9, 10] {
        answered(&server, &head_with_fields(count), 200, b"ok").unwrap();
    }
    refused(&server, &head_with_fields(11), 431).unwrap();
}

/// RFC 6585 §5: the default for the number of fields is 100.
#[test]
fn accepts_100_fields_and_refuses_101() {
    let server = Server::shared();
    for count in [99, 100] {
        answered(&server, &head_with_fields(count), 200, b"ok").unwrap();
    }
    refused(&server, &head_with_fields(101), 431).unwrap();
}

/// RFC 6585 §5: one name may have 256 bytes.
#[test]
fn refuses_a_name_of_more_than_256_bytes() {
    let server = Server::shared();
    let named = |length: usize| get_with("/", &bytes(&[&vec![b'N'; length], b": v\r\n"]));
    for length in [255, 256] {
        answered(&server, &named(length), 200, b"ok").unwrap();
    }
    refused(&server, &named(257), 431).unwrap();
}

/// The operator's limit on the parameters of a query; the default is 1000.
#[test]
fn refuses_more_parameters_than_the_limit() {
    let server = Server::start("conformance", &["--max-parameters", "10"]);
    let with_parameters = |count: usize| get(&format!("/q?x=y{}", "&a".repeat(count - 1)));
    for (server, limit) in [(&server, 10), (&Server::shared(), 1000)] {
        for count in [limit - 1, limit] {
            answered(server, &with_parameters(count), 200, b"y").unwrap();
        }
        let refusal = server.connect().exchange(&with_parameters(limit + 1), "GET").unwrap();
        refusal.expect_status(400).unwrap();
    }
}

/// RFC 9110 §15.5.14: a body over the limit is 413, announced or chunked.
#[test]
fn refuses_a_body_over_the_limit() {
    let server = Server::start("conformance", &["--max-body-bytes", "1000"]);
    for length in [999, 1000] {
        for request in bodies(length) {
            answered(&server, &request, 200, &vec![b'b'; length]).unwrap();
        }
    }
    for length in [1001, 5000] {
        for request in bodies(length) {
            refused(&server, &request, 413).unwrap();
        }
    }
}

/// RFC 9110 §15.5.14: an announced length over the limit is refused before the first byte of the body. An impossible
/// length reserves no memory.
#[test]
fn refuses_an_announced_length_over_the_limit_at_once() {
    let server = Server::shared();
    for length in ["1048577", "1099511627776", "9223372036854775807"] {
        let mut connection = server.connect();
        connection
            .send(&post(format!("Content-Length: {length}\r\n").as_bytes(), b""))
            .unwrap();
        expect_refusal(&mut connection, &[413]).unwrap();
    }
}

/// RFC 9112 §7.1 warns of large chunk sizes: the size line counts before its bytes arrive.
#[test]
fn refuses_a_chunk_over_the_limit_as_soon_as_its_size_has_come() {
    let server = Server::shared();
    for_each_case(
        [
            &b"100000005\r\n"[..],
            b"100000005\r\nhello",
            b"100000005;x=y\r\n",
            b"7fffffffffffffff\r\n",
            b"100001\r\n",
            b"5\r\nhello\r\nffffc\r\n",
            b"80000\r\n",
        ],
        |chunks| show(chunks),
        |chunks| {
            let mut connection = server.connect();
            connection.send(&post_chunked(chunks))?;
            if *chunks == b"80000\r\n" {
                // Half of the limit, and then one byte too many.
                connection.send(&vec![b'b'; 0x80000])?;
                connection.send(b"\r\n80001\r\n")?;
            }
            expect_refusal(&mut connection, &[413])
        },
    );
    let mut connection = server.connect();
    connection.send(&post_chunked(b"5\r\nhello\r\nffffb\r\n")).unwrap();
    connection.send(&vec![b'b'; 0xffffb]).unwrap();
    connection.send(b"\r\n0\r\n\r\n").unwrap();
    connection.response("POST").unwrap().expect_status(200).unwrap();
    still_usable(&mut connection).unwrap();
}

/// The default body limit is 1 MiB, and 1 MiB is not over it.
#[test]
fn accepts_a_body_of_1_mib() {
    let server = Server::shared();
    let body = vec![b'b'; 1024 * 1024];
    let mut connection = server.connect();
    let sending = connection.send_in_background(post_length(&body), usize::MAX);
    connection.response("POST").unwrap().expect(200, &body).unwrap();
    sending.finish();
    still_usable(&mut connection).unwrap();
}

/// RFC 9112 §9.6: a client that sends megabytes before it reads still finds the whole refusal, because the server
/// lingers. Whether the connection then ends or resets depends on how much the server drains.
#[test]
fn lets_a_client_that_sends_first_and_reads_later_read_the_413() {
    let server = Server::shared();
    let body = vec![b'b'; 8 * 1024 * 1024];
    let requests = [
        post_length(&body),
        post_chunked(&bytes(&[b"800000\r\n", &body, b"\r\n0\r\n\r\n"])),
    ];
    for request in requests {
        let mut connection = server.connect();
        connection.tolerate_reset();
        connection.send_if_open(&request);
        expect_refusal(&mut connection, &[413]).unwrap();
    }
}

/// RFC 9112 §9.6: a client that reads while it sends sees the refusal and then a clean end.
#[test]
fn lets_a_client_that_is_still_sending_read_the_413() {
    let server = Server::shared();
    let mut connection = server.connect();
    let request = post_length(&vec![b'b'; 64 * 1024 * 1024]);
    let sending = connection.send_in_background(request, 16 * 1024);
    expect_refusal(&mut connection, &[413]).unwrap();
    drop(sending);
}

/// RFC 9112 §9.6: after a refusal the server reads on for a while. Closing with unread bytes would reset the
/// connection, and a reset can destroy the refusal before the client has read it.
#[test]
fn lingers_after_a_refusal() {
    let server = Server::shared();
    let requests = [
        (post(b"Content-Length: 1048577\r\n", b""), 413),
        (get(&target_of(9000)), 414),
        (head_with_fields(101), 431),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 400),
        (post_chunked(b"0x1\r\n"), 400),
    ];
    for_each_case(
        requests,
        |(request, _)| show(request),
        |(request, status)| {
            let mut connection = server.connect();
            connection.send(request)?;
            expect_refusal(&mut connection, &[*status])?;
            // On loopback a reset arrives before the write that caused it returns, so the next write would fail.
            for _ in 0..4 {
                connection.send(&[b'b'; 1024])?;
            }
            Ok(())
        },
    );
}

/// RFC 9112 §7.1.1: all extensions of a body together may have 4 KiB; their separators may count or not.
#[test]
fn counts_the_chunk_extensions_of_a_whole_body() {
    let server = Server::shared();
    let with_extensions = |count: usize, length: usize| {
        let chunk = bytes(&[b"1;", &vec![b'e'; length], b"\r\nx\r\n"]);
        post_chunked(&bytes(&[&chunk.repeat(count), b"0\r\n\r\n"]))
    };
    answered(&server, &with_extensions(1, 4096 - 16), 200, b"x").unwrap();
    answered(&server, &with_extensions(8, 500), 200, b"xxxxxxxx").unwrap();
    refused(&server, &with_extensions(1, 4096 + 16), 400).unwrap();
    refused(&server, &with_extensions(8, 520), 400).unwrap();
}

/// RFC 9112 §7.1.2: at most 64 trailers and 16 KiB of them; more is 431 (`docs/threats.md#trailers`).
#[test]
fn limits_trailers_in_number_and_size() {
    let server = Server::shared();
    let with_trailers = |count: usize, value: usize| {
        let trailer = bytes(&[b"X: ", &vec![b'v'; value], b"\r\n"]);
        post_chunked(&bytes(&[b"0\r\n", &trailer.repeat(count), b"\r\n"]))
    };
    for count in [63, 64] {
        answered(&server, &with_trailers(count, 1), 200, b"").unwrap();
    }
    refused(&server, &with_trailers(65, 1), 431).unwrap();
    answered(&server, &with_trailers(15, 1000), 200, b"").unwrap();
    refused(&server, &with_trailers(17, 1000), 431).unwrap();
}
