//! Shared by the tests that run Squall as another process: the process, the client, the response parser.
//!
//! Only [`running`], [`shard`] and [`app_client`] use Squall. The tests have a strict parser of their own, so that one mistake cannot hide in both
//! the server and the test.

#![allow(dead_code, reason = "each test binary uses its own part of the harness")]

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use socket2::SockRef;

pub(crate) mod app_client;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod descriptors;
pub(crate) mod forwarder;
pub(crate) mod response;
pub(crate) mod running;
pub(crate) mod server;
pub(crate) mod shard;
#[path = "../../shards/tests/common/skip.rs"]
pub(crate) mod skip;
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

/// How long to wait for a reset.
const RESET_WAIT_MAX: Duration = Duration::from_secs(20);

/// Waits until the peer of a socket has reset the connection, and reads nothing.
///
/// # Panics
///
/// When the peer does not reset it, or the connection fails in another way.
#[track_caller]
pub(crate) fn await_reset(stream: &TcpStream) {
    // Without a requested event, `poll` waits for an error.
    let mut socket = [PollFd::new(stream, PollFlags::empty())];
    let limit = Timespec::try_from(RESET_WAIT_MAX).expect("a short time");
    // A signal to this process may interrupt the wait, since servers run in it.
    let polled = retry_on_intr(|| poll(&mut socket, Some(&limit)));
    assert_eq!(polled, Ok(1), "the connection was not reset");
    let error = SockRef::from(stream).take_error().expect("the socket is open");
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::ConnectionReset));
}

/// How long [`eventually`] waits: longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits, on a thread outside the shards, until a condition holds that sends no event.
///
/// # Panics
///
/// When it does not hold in time.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test waits on a thread outside the shards")]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "timed out waiting for: {what}");
        // The pace of the looks; the condition decides.
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
