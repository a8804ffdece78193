//! The lengths of a window and of its warm-up.

use std::time::Duration;

/// The lengths of a window and of its warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) warmup: Duration,
    pub(crate) window: Duration,
}

impl Timing {
    /// A timing for checks that do not depend on it.
    pub(crate) const NOMINAL: Self = Self {
        warmup: Duration::ZERO,
        window: Duration::from_secs(1),
    };

    pub(super) fn without_warmup(self) -> Self {
        Self {
            warmup: Duration::ZERO,
            ..self
        }
    }

    /// Returns the timing of transfers, which end with the last one: no warm-up, and a window of at most ten minutes.
    pub(super) const fn transfers() -> Self {
        Self {
            warmup: Duration::ZERO,
            window: Duration::from_secs(600),
        }
    }

    /// Returns the timing of a window with stalled subscribers: `windows` times as long.
    ///
    /// Its warm-up lasts at least a quarter of the window, because its latter half gives the quiet p99.
    pub(super) fn slow(self, windows: u32) -> Self {
        let window = self.window * windows;
        Self {
            warmup: self.warmup.max(window / 4),
            window,
        }
    }
}
