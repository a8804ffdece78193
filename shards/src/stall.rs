//! Notices when the tasks of one turn have kept the shard from its sockets for too long: a handler that computes, or that blocks.
//!
//! Everybody else on the shard has waited meanwhile, so it is counted and said, after the fact and at most once a second. Seastar's
//! reactor reports the same at the same threshold.

use std::cell::Cell;
use std::time::Duration;

use crate::shard::ShardId;

/// A turn longer than this is a stall: a quarter of what a person notices, and a thousand times what a turn should take.
const STALL_MIN: Duration = Duration::from_millis(25);

/// How often a stall is logged at the most; all are counted.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// One shard's stalls.
#[derive(Debug, Default)]
pub(crate) struct Stalls {
    count: Cell<u64>,
    longest: Cell<Duration>,
    reported: Cell<Option<Duration>>,
}

impl Stalls {
    /// Notes that the tasks of a turn ran from `began` to `ended`, on the coarse clock; says so if that was too long.
    pub(crate) fn note(&self, shard: ShardId, began: Duration, ended: Duration) {
        let took = ended.saturating_sub(began);
        if took < STALL_MIN {
            return;
        }
        self.count.set(self.count.get() + 1);
        self.longest.set(self.longest.get().max(took));
        let is_due = |reported| ended.saturating_sub(reported) >= REPORT_INTERVAL;
        if self.reported.get().is_none_or(is_due) {
            self.reported.set(Some(ended));
            let stalls = self.count.get();
            tracing::warn!(%shard, ?took, stalls, "tasks kept a shard from its connections; move blocking work to spawn_blocking");
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    pub(crate) fn longest(&self) -> Duration {
        self.longest.get()
    }
}

#[cfg(test)]
mod tests {
    use super::{STALL_MIN, Stalls};
    use crate::shard::ShardId;
    use std::time::Duration;

    #[test]
    fn only_long_turns_are_stalls_and_the_longest_is_kept() {
        let (stalls, start) = (Stalls::default(), Duration::from_secs(100));
        stalls.note(ShardId::FIRST, start, start + STALL_MIN - Duration::from_nanos(1));
        assert_eq!((stalls.count(), stalls.longest()), (0, Duration::ZERO));
        for milliseconds in [30, 5000, 40] {
            stalls.note(ShardId::FIRST, start, start + Duration::from_millis(milliseconds));
        }
        assert_eq!((stalls.count(), stalls.longest()), (3, Duration::from_secs(5)));
    }
}
