//! The clocks of the runtime; only this file reads them, all other code is passed a time.

use std::time::{Duration, Instant, SystemTime};

/// Stands for "never": longer than any process runs.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Returns the time of the monotonic clock, which timers and deadlines follow.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the moment `duration` from now; a century from now if that overflows, as with `Duration::MAX`.
#[must_use]
pub fn after(duration: Duration) -> Instant {
    let now = now();
    now.checked_add(duration).unwrap_or_else(|| now + CENTURY)
}

/// Returns the wall-clock time, for dates shown to people and peers; never use it for deadlines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
