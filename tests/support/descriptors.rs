//! How many sockets a test may hold at once: as many as it wants, or as the system lets a process have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What a process needs besides: its files, and the sockets of tests that run beside this one.
const SPARE: u64 = 512;

/// Raises this process's soft limit on open files to the hard one, which servers it starts inherit, and gives how many of `wanted`
/// sockets that leaves room for.
pub(crate) fn room_for(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a soft limit can be raised to the hard one");
    let Some(limit) = limit.current else { return wanted };
    let room = usize::try_from(limit.saturating_sub(SPARE)).unwrap_or(usize::MAX);
    assert!(room > 0, "a limit of {limit} open files leaves none for a test");
    wanted.min(room)
}
