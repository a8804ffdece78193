//! A full or closed standard error costs log lines only (`docs/threats.md#blocked-log`).

use std::io::Read;

use crate::harness::*;

/// How many requests are logged: their lines exceed the 64 KiB of a pipe.
const LOGGED: usize = 1000;

/// Makes the server log more than a pipe holds, and stops it.
fn log_and_stop(server: &Server) {
    for _ in 0..LOGGED {
        let response = server.connect().exchange(&get("/big?n=18446744073709551615"), "GET");
        response.unwrap().expect_status(500).unwrap();
    }
    answered(server, &get("/"), 200, b"ok").unwrap();
    server.terminate();
    assert!(server.wait().success());
}

#[test]
fn requests_are_answered_while_the_log_pipe_is_full() {
    let (server, mut stderr) = Server::start_unread("conformance");
    log_and_stop(&server);
    let mut lines = Vec::new();
    stderr.read_to_end(&mut lines).unwrap();
    assert!(lines.len() > 4096, "some was written: {}", show(&lines));
    let written = lines.split(|byte| *byte == b'\n').count();
    assert!(written < LOGGED, "and some was not: {written} lines");
}

#[test]
fn requests_are_answered_after_the_log_reader_has_gone() {
    let (server, stderr) = Server::start_unread("conformance");
    drop(stderr);
    log_and_stop(&server);
}
