//! Nanoseconds since a run began: one clock for all threads of a generator, small enough to keep beside every request.

use std::time::{Duration, Instant};

/// Nanoseconds since the run's epoch. A run is shorter than a day, so it never wraps.
pub(crate) type Nanos = u64;

/// Reads the monotonic clock relative to one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    /// Starts to count now.
    pub(crate) fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(self) -> Nanos {
        nanos(self.epoch.elapsed())
    }
}

/// `duration` in nanoseconds; what does not fit in 584 years is that long.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}
