//! Requests and responses: one, many at a time, with content, streams and errors.

use crate::support::server::Server;
use crate::wire::*;

/// RFC 9113 §3.3, §3.4: the preface tells HTTP/2 from HTTP/1.1, however it is cut.
#[test]
fn the_server_recognizes_prior_knowledge_byte_by_byte() {
    let server = Server::shared();
    let mut connection = Http2::connect(&server);
    for byte in [first_bytes(&[]), get(1, "/")].concat() {
        connection.send(&[byte]);
    }
    assert_eq!(
        connection.answer(1),
        Answer {
            status: 200,
            content: b"ok".to_vec()
        }
    );
    // The same port speaks HTTP/1.1.
    let mut plain = server.connect();
    plain.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(plain.response("GET").unwrap().status, 200);
}

#[test]
fn the_preface_behind_a_response_of_http_1_is_refused() {
    let server = Server::shared();
    let mut connection = server.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(connection.response("GET").unwrap().status, 200);
    connection.send_if_open(PREFACE);
    assert_eq!(connection.response("GET").unwrap().status, 505);
}

#[test]
fn a_server_without_http_2_answers_505() {
    let server = Server::start("conformance", &["--no-http2"]);
    let mut connection = server.connect();
    connection.send_if_open(PREFACE);
    assert_eq!(connection.response("GET").unwrap().status, 505);
}

#[test]
fn a_hundred_requests_at_a_time_are_answered() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    let requests: Vec<u8> = (0..100)
        .flat_map(|index| get(1 + 2 * index, &format!("/p/{index}")))
        .collect();
    connection.send(&requests);
    let mut answers = [None; 100];
    let mut left = 100;
    while left > 0 {
        let frame = connection.frame().expect("the connection stays");
        if frame.kind == DATA {
            let index = (frame.stream as usize - 1) / 2;
            assert_eq!(frame.payload, index.to_string().into_bytes());
            assert!(frame.ends_stream());
            assert_eq!(answers[index].replace(()), None);
            left -= 1;
        }
    }
}

#[test]
fn content_is_echoed_in_pieces_with_padding_and_with_trailers() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    connection.send(&post(1, "/echo"));
    for piece in 0..10_u8 {
        connection.send(&data(1, false, &[b'a' + piece; 1000]));
    }
    connection.send(&frame(DATA, 9, 1, b"\x04padded\0\0\0\0"));
    let expected: Vec<u8> = (0..10_u8)
        .flat_map(|piece| [b'a' + piece; 1000])
        .chain(*b"padded")
        .collect();
    assert_eq!(connection.answer(1).content, expected);
    connection.send(&post(3, "/echo"));
    connection.send(&data(3, false, b"content"));
    connection.send(&frame(HEADERS, 5, 3, &block(&[("x-sum", "1")])));
    assert_eq!(connection.answer(3).content, b"content");
}

/// The windows of both ends hold: a large echo flows as fast as it is taken.
#[test]
fn a_large_body_is_echoed_within_the_windows() {
    let server = Server::start("conformance", &["--max-body-bytes", "4M"]);
    let mut connection = Http2::open(&server);
    connection.send(&post(1, "/echo"));
    let body: Vec<u8> = (0..3_000_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    // The stream starts with the protocol's 64 KiB, and the connection with 1 MiB.
    let mut credit = [65_535_usize, 65_535];
    let mut sent = 0;
    while sent < body.len() {
        let room = credit[0].min(credit[1]).min(16_384).min(body.len() - sent);
        if room > 0 {
            let is_last = sent + room == body.len();
            connection.send(&data(1, is_last, &body[sent..sent + room]));
            sent += room;
            credit.iter_mut().for_each(|credit| *credit -= room);
            continue;
        }
        let frame = connection.frame_of(WINDOW_UPDATE);
        credit[usize::from(frame.stream == 0)] += frame.number(0) as usize;
    }
    assert_eq!(connection.answer(1).content, body);
}

#[test]
fn flushed_and_streamed_responses_come_whole() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    assert_eq!(connection.get(1, "/stream").content, b"onetwothree");
    let answer = connection.get(3, "/big?n=1000000");
    assert_eq!(answer.content.len(), 1_000_000);
    assert_eq!(connection.get(5, "/compress?n=300000&flush=1").content.len(), 300_000);
}

#[test]
fn errors_are_answered_as_over_http_1() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    assert_eq!(connection.get(1, "/missing").status, 404);
    connection.send(&request(3, "DELETE", "/", true, &[]));
    assert_eq!(connection.answer(3).status, 405);
    assert_eq!(connection.get(5, "/boom").status, 500);
    let long = format!("/{}", "p".repeat(100));
    assert_eq!(connection.get(7, &long).status, 404);
    connection.send(&request(9, "GET", "/", true, &[("expect", "x")]));
    assert_eq!(connection.answer(9).status, 417);
    assert_eq!(connection.get(11, "/").status, 200, "the connection stays");
}

/// RFC 9113 §8.1: the response ends, and the rest of the request is refused without an error.
#[test]
fn a_404_and_a_405_come_without_the_content_being_read() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    for (stream, path, status) in [(1, "/missing", 404), (3, "/p/a", 405)] {
        connection.send(&request(stream, "POST", path, false, &[("content-length", "1000000")]));
        let head = connection.frame_of(HEADERS);
        assert_eq!((head.stream, head.status()), (stream, status));
        let reset = connection.frame_of(RST_STREAM);
        assert_eq!((reset.stream, reset.number(0)), (stream, 0));
    }
    assert_eq!(connection.get(5, "/").status, 200);
}

/// A handler that fails after its first flush: the stream is reset, and the connection stays.
#[test]
fn a_response_that_breaks_off_resets_its_stream_alone() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    connection.send(&get(1, "/boom/late"));
    let reset = connection.frame_of(RST_STREAM);
    assert_eq!((reset.stream, reset.number(0)), (1, 2));
    assert_eq!(connection.get(3, "/").status, 200);
}

#[test]
fn the_authority_is_host_and_crumbs_of_cookie_are_joined() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    connection.send(&request(
        1,
        "GET",
        "/headers",
        true,
        &[("cookie", "a=1"), ("x-b", "c"), ("cookie", "d=2")],
    ));
    let lines = String::from_utf8(connection.answer(1).content).unwrap();
    assert_eq!(lines, "host: a\nx-b: c\ncookie: a=1; d=2\n");
}

#[test]
fn a_head_of_60_kb_comes_in_continuations() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    connection.send(&get(1, "/bighead?n=60000"));
    let mut head = connection.frame_of(HEADERS);
    assert_eq!(head.status(), 200);
    let mut bytes = 0;
    while head.flags & 4 == 0 {
        bytes += head.payload.len();
        head = connection.frame().unwrap();
        assert_eq!((head.kind, head.stream), (9, 1));
    }
    assert!(bytes > 30_000, "{bytes}");
    assert_eq!(connection.answer(1).content, b"ok");
}

/// RFC 7541 §4.2: the block behind the acknowledgement begins with the sizes, the smallest first.
#[test]
fn the_size_of_the_clients_table_is_confirmed_in_the_next_block() {
    let server = Server::shared();
    for (entries, expected) in [
        (&[(1, 0)][..], &[0x20, 0x88][..]),
        (&[(1, 0), (1, 4096)], &[0x20, 0x3f, 0xe1, 0x1f, 0x88]),
        (&[(1, 65_536)], &[0x88]),
    ] {
        let mut connection = Http2::open_with(&server, entries);
        connection.send(&get(1, "/"));
        let mut frame = connection.frame().unwrap();
        let mut has_acknowledged = false;
        while frame.kind != HEADERS {
            has_acknowledged |= (frame.kind, frame.flags) == (SETTINGS, 1);
            frame = connection.frame().unwrap();
        }
        assert!(has_acknowledged, "{entries:?}");
        assert!(
            frame.payload.starts_with(expected),
            "{entries:?}: {:02x?}",
            frame.payload
        );
    }
}
