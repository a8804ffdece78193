//! Inputs that are cheap to send and would be expensive to keep or to parse.
//!
//! Time is bounded only by the harness's limit on a silent server; memory by what the process holds before and after.

use std::time::Duration;

use crate::harness::*;

/// How much the server may grow while it refuses: room for buffers, allocator slack and a debug build.
const GROWTH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An endless field value, one byte per packet, is refused at the header limit (`docs/threats.md#endless-field`).
#[test]
fn refuses_an_endless_field_value_byte_by_byte() {
    let server = Server::shared();
    let heads: [&[u8]; 2] = [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ",
    ];
    for head in heads {
        let mut connection = server.connect();
        connection.send(head).unwrap();
        let sending = connection.send_in_background(vec![b'x'; 1024 * 1024], 1);
        expect_refusal(&mut connection, &[431]).unwrap();
        drop(sending);
    }
}

/// More fields than the limit are refused although they fit the header block, distinct or alike
/// (`docs/threats.md#many-fields`).
#[test]
fn refuses_thousands_of_fields() {
    let server = Server::start("conformance", &["--max-header-bytes", "1048576"]);
    let distinct: Vec<u8> = (0..2000)
        .flat_map(|number| format!("X-{number}: a\r\n").into_bytes())
        .collect();
    let alike = b"X: a\r\n".repeat(10_000);
    refused(&server, &get_with("/", &distinct), 431).unwrap();
    refused(&server, &get_with("/", &alike), 431).unwrap();
    answered(&server, &get("/"), 200, b"ok").unwrap();
}

/// One of ten thousand query keys is found, or the request is refused; keys are not compared pairwise
/// (`docs/threats.md#hash-flooding`).
#[test]
fn answers_a_query_of_ten_thousand_keys() {
    let server = Server::start(
        "conformance",
        &["--max-target-bytes", "1048576", "--max-header-bytes", "1048576"],
    );
    let keys: String = (0..10_000).map(|number| format!("&key{number}={number}")).collect();
    for _ in 0..20 {
        let response = server
            .connect()
            .exchange(&get(&format!("/q?x=found{keys}")), "GET")
            .unwrap();
        assert!(
            response.status == 200 || (400..500).contains(&response.status),
            "{response:?}"
        );
        if response.status == 200 {
            assert_eq!(response.body, b"found");
        }
    }
    answered(&server, &get("/"), 200, b"ok").unwrap();
}

/// Names, paths, hosts and methods that are new in every request leave memory unchanged
/// (`docs/threats.md#unique-names`).
#[test]
fn names_that_are_new_in_every_request_leave_memory_unchanged() {
    let server = Server::start("conformance", &[]);
    let strange = |round: usize| {
        let name = format!("{round:0>256}");
        let fields: String = (0..64)
            .map(|number| format!("X{number}-{}: v\r\n", &name[..200]))
            .collect();
        format!("M{round} /p/{name} HTTP/1.1\r\nHost: host{round}\r\n{fields}\r\n").into_bytes()
    };
    let mut connection = server.connect();
    let mut rounds = |range: std::ops::Range<usize>| {
        for round in range {
            let response = connection.exchange(&strange(round), "M").unwrap();
            assert!([404, 405].contains(&response.status), "{response:?}");
        }
    };
    rounds(0..200);
    let before = server.resident_bytes();
    rounds(200..4200);
    let growth = server.resident_bytes().saturating_sub(before);
    assert!(
        growth <= GROWTH_BYTES_MAX,
        "grew by {growth} bytes in 4000 requests of 14 KiB"
    );
}

/// Names far over the limit are refused each time (`docs/threats.md#unique-names`).
#[test]
fn refuses_16_kib_names() {
    let server = Server::shared();
    for letter in b'a'..=b'z' {
        let fields = bytes(&[&vec![letter; 16 * 1024], b": v\r\n"]);
        refused(&server, &get_with("/", &fields), 431).unwrap();
    }
}

/// Eight million chunks of one byte are one body of 8 MiB, decoded in linear time (`docs/threats.md#tiny-chunks`).
#[test]
fn decodes_8_mib_in_chunks_of_one_byte() {
    const BODY_BYTES: usize = 8 * 1024 * 1024;
    let server = Server::start("conformance", &["--max-body-bytes", "16777216"]);
    let body: Vec<u8> = (0..=250).cycle().take(BODY_BYTES).collect();
    let mut chunks = Vec::with_capacity(BODY_BYTES * 6 + 5);
    for byte in &body {
        chunks.extend_from_slice(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    let mut connection = server.connect();
    let sending = connection.send_in_background(post_chunked(&chunks), 64 * 1024);
    sending.finish();
    // An unoptimized server decodes for seconds, many times as long on a busy machine.
    connection.wait_up_to(Duration::from_secs(60)).unwrap();
    let response = connection.response("POST").unwrap();
    assert_eq!((response.status, response.body.len()), (200, BODY_BYTES));
    assert!(response.body == body, "the body came back changed");
    still_usable(&mut connection).unwrap();
}

/// An endless chunked body is refused at the limit and memory stays near it; `tests/allocations/endless_body.rs`
/// measures it to the byte (`docs/threats.md#endless-body`).
#[test]
fn refuses_an_endless_chunked_body_in_bounded_memory() {
    let server = Server::start("conformance", &["--max-body-bytes", "65536"]);
    answered(&server, &get("/"), 200, b"ok").unwrap();
    let before = server.resident_bytes();
    for chunk_bytes in [1, 1000, 60_000] {
        let size = format!("{chunk_bytes:x}\r\n");
        let chunk = bytes(&[size.as_bytes(), &vec![b'b'; chunk_bytes], b"\r\n"]);
        let block = chunk.repeat(64 * 1024 / chunk.len() + 1);
        let mut connection = server.connect();
        connection.send(&post_chunked(b"")).unwrap();
        let sending = connection.repeat_in_background(std::iter::repeat_n(block, 2000), usize::MAX);
        expect_refusal(&mut connection, &[413]).unwrap();
        drop(sending);
    }
    let growth = server.resident_bytes().saturating_sub(before);
    assert!(
        growth <= GROWTH_BYTES_MAX,
        "grew by {growth} bytes for a limit of 64 KiB"
    );
}

/// Connections that are reset right after connecting, before or after a few bytes, free their places
/// (`docs/threats.md#accept-storm`).
#[test]
fn reset_connections_free_their_places() {
    const PLACES: usize = 64;
    const RESETS: usize = 30_000;
    // No deadline frees a place within the time of this test.
    let flags = [
        "--max-connections",
        &PLACES.to_string(),
        "--header-timeout",
        "600",
        "--idle-timeout",
        "600",
    ];
    let server = Server::start("conformance", &flags);
    let fill = || {
        let mut connections: Vec<Connection> = (0..PLACES).map(|_| server.connect()).collect();
        for connection in &mut connections {
            connection
                .exchange(&get("/"), "GET")
                .unwrap()
                .expect(200, b"ok")
                .unwrap();
        }
        // All of them are open now, and so are all that a full shard opens.
        server.open_descriptors()
    };
    let before = fill();
    let last_words = [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"];
    for number in 0..RESETS {
        let mut connection = server.connect();
        connection.send_if_open(last_words[number % last_words.len()]);
        connection.reset();
    }
    assert_eq!(fill(), before);
}

/// RFC 9112 §9.3.2: ten thousand pipelined requests in one write are answered one by one, in order
/// (`docs/threats.md#pipelining`).
#[test]
fn answers_ten_thousand_pipelined_requests_in_order() {
    const REQUESTS: usize = 10_000;
    let server = Server::shared();
    let pipeline: Vec<u8> = (0..REQUESTS).flat_map(|number| get(&format!("/p/{number}"))).collect();
    let mut connection = server.connect();
    let sending = connection.send_in_background(pipeline, usize::MAX);
    for number in 0..REQUESTS {
        connection
            .response("GET")
            .unwrap()
            .expect(200, number.to_string().as_bytes())
            .unwrap();
    }
    sending.finish();
    still_usable(&mut connection).unwrap();
}

/// A pipelining client takes turns with other connections, and waits if it does not read
/// (`docs/threats.md#pipelining`).
#[test]
fn an_unread_pipeline_is_bounded_and_delays_no_other_client() {
    let server = Server::start("conformance", &[]);
    answered(&server, &get("/"), 200, b"ok").unwrap();
    let before = server.resident_bytes();
    let mut greedy = server.connect();
    let request = get("/big?n=65536");
    let sending = greedy.send_in_background(request.repeat(2000), usize::MAX);
    let mut other = server.connect();
    for _ in 0..200 {
        other.exchange(&get("/"), "GET").unwrap().expect(200, b"ok").unwrap();
    }
    let growth = server.resident_bytes().saturating_sub(before);
    assert!(
        growth <= GROWTH_BYTES_MAX,
        "holds {growth} bytes for a client that does not read"
    );
    for _ in 0..2000 {
        assert_eq!(greedy.response("GET").unwrap().body.len(), 65_536);
    }
    sending.finish();
}
