//! The doctor as its users start it: on this machine, where io_uring is forbidden, and where limits are too small to
//! serve. A server without io_uring gives the doctor's reason.
//!
//! The tests also pass on a machine that forbids io_uring, where the whole suite runs too.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test panics"
)]

#[path = "../../../tests/support/mod.rs"]
mod support;

use std::process::{Command, Output};

use squall::shards::preflight::PreflightError;

use support::server::{Server, path_of};

/// The output and the exit status of a program.
struct Finished {
    stdout: String,
    stderr: String,
    status: Option<i32>,
}

fn finish(command: &mut Command) -> Finished {
    let Output { status, stdout, stderr } = command.env("NO_COLOR", "1").output().unwrap();
    Finished {
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
        status: status.code(),
    }
}

/// An example, run where io_uring is forbidden.
fn forbidden(example: &str) -> Command {
    let mut command = Command::new(path_of("without_io_uring"));
    command.arg(path_of(example));
    command
}

#[test]
fn the_status_is_the_last_line_of_the_report() {
    let told = finish(&mut Command::new(path_of("doctor")));
    let verdict = told.stdout.lines().last().unwrap();
    let expected = match told.status {
        Some(0) => "--driver auto takes io_uring: ",
        Some(1) => "--driver auto takes epoll: ",
        other => panic!("status {other:?} on a machine that runs tests:\n{}", told.stdout),
    };
    assert!(verdict.starts_with(expected), "{}", told.stdout);
    assert_eq!(told.stdout.contains("missing  permission"), told.status == Some(1));
    for area in ["io_uring", "limits", "sockets", "CPUs"] {
        assert!(told.stdout.lines().any(|line| line == area), "{area}:\n{}", told.stdout);
    }
}

#[test]
fn where_io_uring_is_forbidden_the_doctor_names_the_filter_and_the_fix() {
    let told = finish(&mut forbidden("doctor"));
    assert_eq!(told.status, Some(1), "{}{}", told.stdout, told.stderr);
    let sentence = PreflightError::SeccompForbids.to_string();
    assert!(told.stdout.contains("missing  permission"), "{}", told.stdout);
    assert!(told.stdout.contains(&format!("→ {sentence}\n")), "{}", told.stdout);
    assert!(
        told.stdout
            .ends_with(&format!("\n--driver auto takes epoll: {sentence}.\n")),
        "{}",
        told.stdout
    );
}

#[test]
fn a_server_forced_to_io_uring_gives_the_doctors_reason() {
    let told = finish(forbidden("hello").args(["--driver", "io_uring", "--listen", "127.0.0.1:0", "--shards", "1"]));
    assert_eq!(told.status, Some(1), "{}{}", told.stdout, told.stderr);
    let sentence = PreflightError::SeccompForbids.to_string();
    assert_eq!(
        told.stderr.trim_end().lines().last(),
        Some(format!("Error: {sentence}").as_str())
    );
}

/// The server on `--driver auto` does what the doctor announces.
#[test]
fn a_server_on_auto_serves_through_epoll_and_gives_the_doctors_reason() {
    let server = Server::start_by(forbidden("hello"), 1, &[]);
    let answer = server
        .connect()
        .exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
        .unwrap();
    answer.expect(200, b"Hello, Squall!").unwrap();
    server.terminate();
    assert!(server.wait().success(), "{}", server.log());
    let sentence = PreflightError::SeccompForbids.to_string();
    assert_eq!(server.log().matches(&sentence).count(), 1, "{}", server.log());
}

#[test]
fn with_too_few_descriptors_the_doctor_rejects_both_drivers() {
    let told = finish(
        Command::new("sh")
            .args(["-c", "ulimit -n 20; exec \"$0\""])
            .arg(path_of("doctor")),
    );
    assert_eq!(told.status, Some(2), "{}{}", told.stdout, told.stderr);
    let verdict = told.stdout.lines().last().unwrap();
    assert!(
        verdict.starts_with("no driver can serve here: only 20 files may be open"),
        "{verdict}"
    );
    assert!(verdict.contains("ulimit -n"), "{verdict}");
}

#[test]
fn the_launcher_forwards_arguments_and_status_and_names_a_missing_program() {
    let launcher = || Command::new(path_of("without_io_uring"));
    let shell = finish(launcher().args(["sh", "-c", "echo \"$0 $1\"; exit 7", "a b", "c"]));
    assert_eq!(
        (shell.stdout.as_str(), shell.status),
        ("a b c\n", Some(7)),
        "{}",
        shell.stderr
    );
    for (arguments, part) in [
        (&[][..], "usage: without_io_uring PROGRAM"),
        (&["/nowhere/at/all"], "/nowhere/at/all"),
    ] {
        let failed = finish(launcher().args(arguments));
        assert_eq!(failed.status, Some(1), "{arguments:?}");
        assert!(failed.stderr.contains(part), "{arguments:?}: {}", failed.stderr);
    }
}
