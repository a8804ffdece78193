//! A suspended server that resumes after its timeouts reads the waiting bytes before it fires timeouts
//! (`docs/threats.md#suspended-process`).

use std::time::Duration;

use crate::harness::*;

/// The timeouts of the server: long beside the steps before it is suspended.
const TIMEOUT: Duration = Duration::from_secs(3);

#[test]
fn a_resumed_server_reads_waiting_bytes_before_it_fires_timeouts() {
    let seconds = TIMEOUT.as_secs().to_string();
    let flags = [
        "--header-timeout",
        &seconds,
        "--idle-timeout",
        &seconds,
        "--body-timeout",
        &seconds,
    ];
    let server = Server::start("conformance", &flags);

    let mut in_head = server.connect();
    in_head.send(b"GET / HTTP/1.1\r\nHo").unwrap();
    let mut in_body = server.connect();
    in_body.send(&post(b"Content-Length: 6\r\n", b"abc")).unwrap();
    let mut idle = server.connect();
    idle.exchange(&get("/"), "GET").unwrap().expect(200, b"ok").unwrap();
    let mut silent = server.connect();
    silent.exchange(&get("/"), "GET").unwrap().expect(200, b"ok").unwrap();

    server.suspend();
    in_head.send(b"st: a\r\n\r\n").unwrap();
    in_body.send(b"def").unwrap();
    idle.send(&get("/q?x=again")).unwrap();
    // The passing time itself is under test.
    assert_eq!(silent.listen_for(TIMEOUT + Duration::from_millis(500)).unwrap(), None);
    server.signal("CONT");

    in_head.response("GET").unwrap().expect(200, b"ok").unwrap();
    in_body.response("POST").unwrap().expect(200, b"abcdef").unwrap();
    idle.response("GET").unwrap().expect(200, b"again").unwrap();
    silent.expect_closed().unwrap();
}
