//! The wait for an address that a process had which is gone already.
//!
//! The kernel closes the files of a killed process when its threads have ended, and sockets that its io_uring holds later still, by work of its own:
//! 30 to 200 ms after `kill -9` they listen yet, and no process has them. So the next start of a server tries again, unless a process that goes on
//! has the address.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::holder::Holder;
use crate::clock;
use crate::shard::shard::Shard;

/// How long an address that is in use is waited for, if no process that goes on is seen to have it: ten times the longest that the kernel has
/// taken to close the sockets of a killed process (200 ms, on two busy cores).
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The time to the second attempt; doubled after each, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// The longest time between two attempts. Each looks through the open files of every process of this user: some milliseconds for ten thousand.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// An address is still in use, by a process that could be seen or not.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: io::Error,
    pub(super) holder: Option<Holder>,
}

/// Binds, and again while the address is in use and no process that goes on is seen to have it, for at most [`WAIT_MAX`]. On a shard's thread it tries
/// once: a shard that sleeps serves no connection.
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

/// The current time, after a pause.
#[expect(
    clippy::disallowed_methods,
    reason = "no shard runs yet: this thread serves no connection"
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
        // Seen twice, because a process that was just killed looks for some instructions as if it went on.
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

    /// How an address that is free at the `free_at`th attempt is bound, and after what time; `holders` are seen one after the other, the last again
    /// and again.
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
    fn an_address_that_nobody_has_is_waited_for_and_no_longer_than_the_bound() {
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
    fn a_process_that_goes_on_is_named_at_once_and_one_that_ends_is_waited_for() {
        let (outcome, passed) = bound(u32::MAX, &[holder(7, false)]);
        assert_eq!(outcome.unwrap_err().holder, holder(7, false));
        assert_eq!(passed, PAUSE_MIN);
        // Killed, and at the first look not yet seen to be.
        let (outcome, _) = bound(9, &[holder(7, false), holder(7, true), None]);
        assert!(outcome.is_ok());
        // Another process has come first.
        let (outcome, passed) = bound(u32::MAX, &[holder(7, true), holder(8, false)]);
        assert_eq!(outcome.unwrap_err().holder, holder(8, false));
        assert_eq!(passed, Duration::from_millis(10 + 20));
        let (outcome, passed) = bound(u32::MAX, &[holder(7, true)]);
        assert_eq!(outcome.unwrap_err().holder, holder(7, true));
        assert!(passed >= WAIT_MAX);
    }

    #[test]
    fn other_refusals_are_not_waited_out() {
        let refuse = || Err::<(), _>(io::ErrorKind::PermissionDenied.into());
        let failure = bind_within(WAIT_MAX, refuse, || unreachable!(), |_| unreachable!()).unwrap_err();
        assert_eq!(failure.cause.kind(), io::ErrorKind::PermissionDenied);
    }
}
