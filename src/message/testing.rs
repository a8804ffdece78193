//! Times for tests of machines, which take every time as a value.

use std::time::{Instant, SystemTime};

use super::HttpDate;

/// An arbitrary moment; every other time of a test is relative to it.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made from a number")]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

/// The date 1970-01-01.
pub(crate) fn date() -> HttpDate {
    HttpDate::from(SystemTime::UNIX_EPOCH)
}
