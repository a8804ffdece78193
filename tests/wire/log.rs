//! A full or closed standard error costs log lines only (`docs/threats.md#blocked-log`).

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::*;
use crate::support::server::command;

/// How many requests are logged: their lines exceed the 64 KiB of a pipe.
const LOGGED: usize = 1000;

/// A server, its address, and its standard error, read only up to the announcement.
fn unread() -> (Child, SocketAddr, ChildStderr) {
    let mut child = command("conformance")
        .args(["--listen", "127.0.0.1:0", "--shards", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    // A warning may come first.
    let mut said = String::new();
    let address = loop {
        let mut byte = [0];
        stderr.read_exact(&mut byte).unwrap();
        said.push(char::from(byte[0]));
        if let Some((_, rest)) = said.split_once("http://")
            && let Some((address, _)) = rest.split_once(' ')
            && said.ends_with('\n')
        {
            break address.parse().unwrap();
        }
    };
    (child, address, stderr)
}

/// Makes the server log more than a pipe holds, and stops it.
fn log_and_stop(mut child: Child, address: SocketAddr) {
    for _ in 0..LOGGED {
        let mut connection = Connection::open(address);
        let response = connection.exchange(&get("/big?n=18446744073709551615"), "GET");
        response.unwrap().expect_status(500).unwrap();
    }
    let mut connection = Connection::open(address);
    connection
        .exchange(&get("/"), "GET")
        .unwrap()
        .expect(200, b"ok")
        .unwrap();
    drop(connection);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn requests_are_answered_while_the_log_pipe_is_full() {
    let (child, address, mut stderr) = unread();
    log_and_stop(child, address);
    let mut lines = Vec::new();
    stderr.read_to_end(&mut lines).unwrap();
    assert!(lines.len() > 4096, "some was written: {}", show(&lines));
    let written = lines.split(|byte| *byte == b'\n').count();
    assert!(written < LOGGED, "and some was not: {written} lines");
}

#[test]
fn requests_are_answered_after_the_log_reader_has_gone() {
    let (child, address, stderr) = unread();
    drop(stderr);
    log_and_stop(child, address);
}
