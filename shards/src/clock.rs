//! The one place where the runtime reads a clock. Everything else is handed a time.

use std::time::{Instant, SystemTime};

/// The monotonic clock, which timers and deadlines follow.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock, for dates shown to people and peers; never for deadlines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
