//! How many sockets a test may hold at once, by the limit on open files.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors for other uses: files, and the sockets of tests that run beside this one.
const SPARE: u64 = 512;

/// Raises this process's soft limit on open files to the hard one, which its servers inherit. Returns for how many of
/// `wanted` sockets there is room.
pub(crate) fn room_for(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a soft limit can be raised to the hard one");
    let Some(limit) = limit.current else { return wanted };
    let room = usize::try_from(limit.saturating_sub(SPARE)).unwrap_or(usize::MAX);
    assert!(room > 0, "a limit of {limit} open files leaves none for a test");
    wanted.min(room)
}
