//! A server whose address space is limited to little more than it began with, and peers that send more than fits.

use std::sync::{Arc, Barrier};
use std::thread;

use crate::request_result::{RequestResult, TEXT, send_message, send_slow_request};
use crate::support::client::Connection;
use crate::support::server::{PATIENT, Server, command};
use crate::support::websocket::{frame, handshake};

/// How many peers send at the same time, and how much each: three times the headroom.
const PEERS: usize = 24;
const CONTENT_BYTES: usize = 8 * 1024 * 1024;
const HEADROOM_BYTES: u64 = 64 * 1024 * 1024;

/// How many peers begin a head, and its length: five times that server's headroom.
const HEADS: usize = 800;
const HEAD_BYTES: usize = 30_000;
const SMALL_HEADROOM_BYTES: u64 = 5 * 1024 * 1024;

/// Starts a server that accepts what each peer sends.
fn start() -> Server {
    let sizes = ["--max-body-bytes", "16777216", "--max-message-bytes", "16777216"];
    Server::start("conformance", &[&PATIENT[..], &sizes].concat())
}

#[test]
fn content_that_does_not_fit_is_refused() {
    let server = start();
    server.limit_address_space(HEADROOM_BYTES);
    let content = vec![b'x'; CONTENT_BYTES];
    let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {CONTENT_BYTES}\r\n\r\n");
    let request = Arc::new([head.as_bytes(), &content].concat());
    let address = server.address();
    let results = all_at_once(move |pause| send_slow_request(address, &request, pause, &content));
    expect_some_of_each(&results);
    expect_serving(&server);
}

#[test]
fn messages_that_do_not_fit_close_their_sockets() {
    let server = start();
    server.limit_address_space(HEADROOM_BYTES);
    let message = vec![b'x'; CONTENT_BYTES];
    let request = Arc::new([handshake("/ws/echo", ""), frame(TEXT, &message)].concat());
    let address = server.address();
    let results = all_at_once(move |pause| send_message(address, &request, pause, &message));
    expect_some_of_each(&results);
    expect_serving(&server);
}

/// Incomplete heads and connections take memory too. A connection that does not fit is cut or gets 503.
#[test]
fn heads_that_do_not_fit_cut_their_connections() {
    let mut command = command("conformance");
    // One heap for all threads, whose growth the kernel counts.
    command.env("MALLOC_ARENA_MAX", "1");
    let server = Server::start_by(command, 1, &PATIENT);
    server.limit_address_space(SMALL_HEADROOM_BYTES);
    let mut begun = vec![b'x'; HEAD_BYTES];
    begun.splice(..0, *b"GET / HTTP/1.1\r\nHost: a\r\nX: ");
    let mut connections: Vec<Connection> = (0..HEADS).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.tolerate_reset();
        connection.send_if_open(&begun);
    }
    let mut served = 0;
    for mut connection in connections {
        connection.send_if_open(b"\r\n\r\n");
        match connection.response("GET") {
            Ok(response) if response.status == 200 => served += 1,
            Ok(response) => response.expect_status(503).unwrap(),
            Err(complaint) => assert!(!complaint.starts_with("nothing came"), "{complaint}"),
        }
    }
    assert!((1..HEADS).contains(&served), "{served} of {HEADS} were served");
    expect_serving(&server);
}

/// Lets all peers send all but the last byte; then the last.
fn all_at_once(send: impl Fn(Pause) -> RequestResult + Send + Sync + 'static) -> Vec<RequestResult> {
    let (send, barrier) = (Arc::new(send), Arc::new(Barrier::new(PEERS)));
    let peers: Vec<_> = (0..PEERS)
        .map(|_| {
            let (send, barrier) = (Arc::clone(&send), Arc::clone(&barrier));
            thread::spawn(move || {
                send(Box::new(move || {
                    barrier.wait();
                }))
            })
        })
        .collect();
    peers.into_iter().map(|peer| peer.join().unwrap()).collect()
}

/// Waits until all peers are at the same point.
type Pause = Box<dyn FnOnce() + Send>;

/// A refusal frees memory for the other requests, so at least one must be served.
fn expect_some_of_each(results: &[RequestResult]) {
    for result in [RequestResult::Served, RequestResult::Refused] {
        assert!(results.contains(&result), "never {result:?}: {results:?}");
    }
}

fn expect_serving(server: &Server) {
    let response = server.connect().exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET");
    response.unwrap().expect(200, b"ok").unwrap();
}
