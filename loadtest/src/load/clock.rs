//! Nanoseconds since a run began: one clock for all threads of the generator, 8 bytes beside each request.

use std::time::{Duration, Instant};

/// Nanoseconds since the start of the run; a run lasts at most a day, so it never wraps.
pub(crate) type Nanos = u64;

/// The monotonic clock, relative to the start of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    /// Starts the clock at 0.
    pub(crate) fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Returns the nanoseconds since the start.
    pub(crate) fn now(self) -> Nanos {
        nanos(self.epoch.elapsed())
    }
}

/// Converts `duration` to nanoseconds, saturating at 584 years.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}
