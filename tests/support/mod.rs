//! Shared by the tests that run Squall as another process: the process, the client, the response parser.
//!
//! Only [`running`] and [`app_client`] use Squall. The tests have a strict parser of their own, so that one mistake cannot hide in both
//! the server and the test.

#![allow(dead_code, reason = "each test binary uses its own part of the harness")]

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

pub(crate) mod app_client;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod descriptors;
pub(crate) mod response;
#[cfg(feature = "serve")]
pub(crate) mod running;
pub(crate) mod server;
pub(crate) mod websocket;

/// A value, or an error that says what the server did wrong.
pub(crate) type Outcome<T> = Result<T, String>;

/// How many characters of a transcript an error shows.
const SHOWN_CHARACTERS_MAX: usize = 400;

/// Bytes as readable text, shortened in the middle.
pub(crate) fn show(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= SHOWN_CHARACTERS_MAX {
        return text;
    }
    let head: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    format!("{head}… ({} bytes in all)", bytes.len())
}

/// Prints that a test is skipped, and why.
///
/// # Panics
///
/// When `SQUALL_TEST_CLIENTS` is `all`, as in `.ci/run`: then no test may be skipped.
pub(crate) fn skip(why: &str) {
    let is_demanded = std::env::var("SQUALL_TEST_CLIENTS").is_ok_and(|value| value == "all");
    assert!(!is_demanded, "this test may not be skipped: {why}");
    eprintln!("skipped: {why}");
}

/// How long to wait for a reset.
const RESET_WAIT_MAX: Duration = Duration::from_secs(20);

/// Waits until the peer of a socket has reset the connection, and reads nothing.
///
/// # Panics
///
/// When the peer does not reset it, or the connection fails in another way.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test waits on a thread outside the shards")]
pub(crate) fn await_reset(stream: &TcpStream) {
    let until = Instant::now() + RESET_WAIT_MAX;
    loop {
        match SockRef::from(stream).take_error().expect("the socket is open") {
            Some(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
            None => assert!(Instant::now() < until, "the connection was not reset"),
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Returns an error unless the claim holds.
pub(crate) fn ensure(claim: bool, complaint: impl FnOnce() -> String) -> Outcome<()> {
    if claim { Ok(()) } else { Err(complaint()) }
}

/// Runs a check for every case and reports all that fail, not only the first.
///
/// # Panics
///
/// When a case fails, or the list is empty.
#[track_caller]
pub(crate) fn for_each_case<C>(
    cases: impl IntoIterator<Item = C>,
    name: impl Fn(&C) -> String,
    check: impl Fn(&C) -> Outcome<()>,
) {
    let mut count = 0;
    let mut failures = Vec::new();
    for case in cases {
        count += 1;
        if let Err(complaint) = check(&case) {
            failures.push(format!("  [{}]\n    {complaint}", name(&case)));
        }
    }
    assert!(count > 0, "the table has no cases");
    assert!(
        failures.is_empty(),
        "{} of {count} cases failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
