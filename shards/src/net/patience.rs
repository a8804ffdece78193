//! Waits for an address whose holder has just ended.
//!
//! After `kill -9` the kernel closes files only when the threads have ended, and the sockets of an io_uring later
//! still, by deferred work. For 30 to 200 ms they listen without a process. So a restarting server retries, unless a
//! live process holds the address.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::holder::Holder;
use crate::clock;
use crate::shard::shard::Shard;

/// How long an address in use is waited for if no live process is seen to hold it. 2 s: ten times the longest time the
/// kernel took to close the sockets of a killed process (200 ms, on two busy cores).
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The time before the second attempt; doubled after each, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// The longest time between two attempts. 100 ms: each scans the open files of this user's processes, some milliseconds
/// for 10,000.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// An address that could not be bound, and its holder, if visible.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: io::Error,
    pub(super) holder: Option<Holder>,
}

/// Binds, retrying for at most [`WAIT_MAX`] while the address is in use and no live process is seen to hold it. A
/// shard's thread tries once, because a sleeping shard serves no connection.
pub(super) fn bind<T>(
    attempt: impl FnMut() -> io::Result<T>,
    holder: impl Fn() -> Option<Holder>,
) -> Result<T, Failure> {
    let wait_max = match Shard::try_current() {
        Some(_) => Duration::ZERO,
        None => WAIT_MAX,
    };
    bind_within(wait_max, attempt, holder, sleep)
}

/// Returns the current time, after a pause.
#[expect(
    clippy::disallowed_methods,
    reason = "the shards are not running yet: this thread serves no connection"
)]
fn sleep(pause: Duration) -> Instant {
    if pause > Duration::ZERO {
        thread::sleep(pause);
    }
    clock::now()
}

fn bind_within<T>(
    wait_max: Duration,
    mut attempt: impl FnMut() -> io::Result<T>,
    holder: impl Fn() -> Option<Holder>,
    mut sleep: impl FnMut(Duration) -> Instant,
) -> Result<T, Failure> {
    let (mut until, mut pause) = (None, PAUSE_MIN);
    let mut seen: Option<Holder> = None;
    loop {
        let cause = match attempt() {
            Ok(bound) => return Ok(bound),
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => cause,
            Err(cause) => return Err(Failure { cause, holder: None }),
        };
        let holder = holder();
        // Seen twice, because for a few instructions a process just killed looks alive.
        let goes_on = holder.as_ref().is_some_and(|holder| !holder.ends) && holder == seen;
        let now = sleep(Duration::ZERO);
        if goes_on || now >= *until.get_or_insert(now + wait_max) {
            return Err(Failure { cause, holder });
        }
        seen = holder;
        sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn holder(process: u32, ends: bool) -> Option<Holder> {
        Some(Holder::new(process, "other", ends))
    }

    /// Binds an address that becomes free at the `free_at`th attempt; returns the result and the time taken. `holders`
    /// are seen one after the other, the last one repeatedly.
    fn bound(free_at: u32, holders: &[Option<Holder>]) -> (Result<(), Failure>, Duration) {
        let (attempts, looks, passed) = (Cell::new(0), Cell::new(0), Cell::new(Duration::ZERO));
        let start = clock::now();
        let outcome = bind_within(
            WAIT_MAX,
            || {
                attempts.set(attempts.get() + 1);
                if attempts.get() >= free_at {
                    Ok(())
                } else {
                    Err(io::ErrorKind::AddrInUse.into())
                }
            },
            || {
                let look = looks.replace(looks.get() + 1).min(holders.len() - 1);
                holders[look].clone()
            },
            |pause| {
                passed.set(passed.get() + pause);
                start + passed.get()
            },
        );
        (outcome, passed.get())
    }

    #[test]
    fn an_address_without_a_holder_is_waited_for_up_to_the_limit() {
        let (outcome, passed) = bound(1, &[None]);
        assert!(outcome.is_ok() && passed.is_zero());
        let (outcome, passed) = bound(6, &[None]);
        assert!(outcome.is_ok());
        assert_eq!(passed, Duration::from_millis(10 + 20 + 40 + 80 + 100));
        let (outcome, passed) = bound(u32::MAX, &[None]);
        assert_eq!(outcome.unwrap_err().holder, None);
        assert!((WAIT_MAX..WAIT_MAX + PAUSE_MAX).contains(&passed), "{passed:?}");
    }

    #[test]
    fn a_live_holder_is_named_at_once_and_an_ending_one_is_waited_for() {
        let (outcome, passed) = bound(u32::MAX, &[holder(7, false)]);
        assert_eq!(outcome.unwrap_err().holder, holder(7, false));
        assert_eq!(passed, PAUSE_MIN);
        // Killed, which the first look does not show yet.
        let (outcome, _) = bound(9, &[holder(7, false), holder(7, true), None]);
        assert!(outcome.is_ok());
        // Another process took the address first.
        let (outcome, passed) = bound(u32::MAX, &[holder(7, true), holder(8, false)]);
        assert_eq!(outcome.unwrap_err().holder, holder(8, false));
        assert_eq!(passed, Duration::from_millis(10 + 20));
        let (outcome, passed) = bound(u32::MAX, &[holder(7, true)]);
        assert_eq!(outcome.unwrap_err().holder, holder(7, true));
        assert!(passed >= WAIT_MAX);
    }

    #[test]
    fn other_errors_are_not_retried() {
        let refuse = || Err::<(), _>(io::ErrorKind::PermissionDenied.into());
        let failure = bind_within(WAIT_MAX, refuse, || unreachable!(), |_| unreachable!()).unwrap_err();
        assert_eq!(failure.cause.kind(), io::ErrorKind::PermissionDenied);
    }
}
