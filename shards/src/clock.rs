//! The one place where the runtime reads a clock. Everything else is handed a time.

use std::time::{Duration, Instant, SystemTime};

/// As good as for ever.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The monotonic clock, which timers and deadlines follow.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> Instant {
    Instant::now()
}

/// The moment a duration from now; a century from now for one that no clock will ever show, such as `Duration::MAX`.
#[must_use]
pub fn after(duration: Duration) -> Instant {
    let now = now();
    now.checked_add(duration).unwrap_or_else(|| now + CENTURY)
}

/// The wall clock, for dates shown to people and peers; never for deadlines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
