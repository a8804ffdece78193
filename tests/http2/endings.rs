//! How connections end: a stop, an idle time, a client that leaves, a deadline.

use crate::support::eventually;
use crate::support::server::Server;
use crate::wire::*;

/// Streams in progress finish, and a request that crosses the announcement is answered.
#[test]
fn a_graceful_stop_finishes_open_streams() {
    let server = Server::start("conformance", &[]);
    let mut connection = Http2::open(&server);
    connection.send(&post(1, "/echo"));
    connection.send(&data(1, false, b"begun"));
    connection.send(&frame(PING, 0, 0, &[7; 8]));
    connection.frame_of(PING);
    server.terminate();
    let announced = connection.frame_of(GOAWAY);
    assert_eq!((announced.number(0), announced.number(4)), ((1 << 31) - 1, 0));
    assert_eq!(connection.get(3, "/").status, 200, "it crossed the announcement");
    let named = connection.frame_of(GOAWAY);
    assert_eq!((named.number(0), named.number(4)), (3, 0));
    connection.send(&data(1, true, b" and ended"));
    assert_eq!(connection.answer(1).content, b"begun and ended");
    assert_eq!(connection.end(), None);
    drop(connection);
    assert!(server.wait().success(), "{}", server.log());
}

#[test]
fn an_idle_connection_ends_with_a_goaway_without_an_error() {
    let server = Server::start("conformance", &["--idle-timeout", "200ms"]);
    let mut connection = Http2::open(&server);
    assert_eq!(connection.get(1, "/").status, 200);
    assert_eq!(connection.end(), Some(0));
}

#[test]
fn a_preface_and_a_header_block_have_the_time_of_a_head() {
    let server = Server::start("conformance", &["--header-timeout", "300ms"]);
    let mut connection = Http2::connect(&server);
    connection.send(&PREFACE[..18]);
    assert_eq!(connection.end(), Some(1));
    let mut connection = Http2::open(&server);
    let block = block(&[(":method", "GET")]);
    connection.send(&frame(HEADERS, 1, 1, &block));
    assert_eq!(connection.end(), Some(1));
}

#[test]
fn content_that_stops_is_answered_408() {
    let server = Server::start("conformance", &["--body-timeout", "300ms"]);
    let mut connection = Http2::open(&server);
    connection.send(&post(1, "/echo"));
    connection.send(&data(1, false, b"begun"));
    assert_eq!(connection.answer(1).status, 408);
    assert_eq!(connection.get(3, "/").status, 200);
}

/// A client that closes its half has complete requests answered.
#[test]
fn a_client_that_closes_its_half_gets_its_answers() {
    let server = Server::shared();
    let mut connection = Http2::open(&server);
    connection.send(&[get(1, "/"), get(3, "/stream"), post(5, "/echo")].concat());
    connection.finish();
    let mut ended = Vec::new();
    while let Some(frame) = connection.frame() {
        if frame.ends_stream() {
            ended.push(frame.stream);
        }
    }
    ended.sort_unstable();
    assert_eq!(ended, [1, 3]);
}

/// A stream whose peer takes nothing does not delay others, and its memory is bounded.
#[test]
fn a_stream_without_a_window_delays_no_other() {
    let server = Server::shared();
    let mut connection = Http2::open_with(&server, &[(4, 0)]);
    connection.send(&get(1, "/big?n=10000000"));
    assert_eq!(connection.frame_of(HEADERS).stream, 1);
    connection.send(&[get(3, "/"), window_update(3, 100)].concat());
    assert_eq!(connection.answer(3).content, b"ok");
}

/// The descriptors of clients that leave in the middle are freed.
#[test]
fn clients_that_leave_in_the_middle_leave_nothing() {
    let server = Server::start("conformance", &[]);
    let before = server.resident_bytes();
    for _ in 0..200 {
        let mut connection = Http2::open(&server);
        connection.send(&[post(1, "/echo"), data(1, false, b"x"), get(3, "/big?n=100000000")].concat());
        connection.frame_of(HEADERS);
    }
    eventually("memory returns", || server.resident_bytes() < before + (16 << 20));
    assert_eq!(Http2::open(&server).get(1, "/").status, 200);
}
