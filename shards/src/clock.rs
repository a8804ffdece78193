//! The one place where the runtime reads a clock. Everything else is handed a time.

use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// The monotonic clock, which timers and deadlines follow.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> Instant {
    Instant::now()
}

/// The monotonic clock as the kernel last noted it: up to one tick (10 ms) behind, and a fifth of the price. For measuring what
/// takes longer than that; two of its readings may be compared, not one of it with one of [`now`].
pub(crate) fn coarse() -> Duration {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The wall clock, for dates shown to people and peers; never for deadlines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
