//! Which shards have exited, for the thread that waits for all of them.
//!
//! A shard whose task computes or blocks does not see a stop request, and a thread cannot be ended from outside. So the
//! waiting thread keeps the time itself: it gives up an overdue shard, and the process can exit.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::signal::Stop;
use crate::shard::id::ShardId;
use crate::sync::thread::{self, Thread};
use crate::sync::{AtomicBool, Ordering, fence};

/// How long after its limit a stop may take before a shard counts as stuck: 80 times the watchdog's stall threshold.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Which shards have exited, and the thread waiting for them.
#[derive(Debug)]
pub(crate) struct ShardExits {
    ended: Box<[AtomicBool]>,
    waiting: OnceLock<Thread>,
}

impl ShardExits {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            ended: (0..shards).map(|_| AtomicBool::new(false)).collect(),
            waiting: OnceLock::new(),
        }
    }

    /// Records the exit of a shard.
    pub(crate) fn record(&self, shard: ShardId) {
        if let Some(ended) = self.ended.get(shard.index()) {
            ended.store(true, Ordering::Release);
        }
        self.wake_waiter();
    }

    /// Makes the waiting thread look again at what was written before this call.
    pub(crate) fn wake_waiter(&self) {
        // Orders the caller's write before the read of `waiting`. The waiting thread does the opposite, so one sees the
        // other.
        fence(Ordering::SeqCst);
        if let Some(waiting) = self.waiting.get() {
            waiting.unpark();
        }
    }

    /// Waits until every shard has exited; called once.
    ///
    /// A graceful stop may take `graceful_max` (`None`: no limit), an immediate one no time; [`STOP_PATIENCE`] is added
    /// to both.
    ///
    /// # Errors
    ///
    /// The first shard still running when the time is up.
    pub(crate) fn wait(&self, stop: impl Fn() -> Option<Stop>, graceful_max: Option<Duration>) -> Result<(), ShardId> {
        // Published before the first look, so that an exit from here on unparks this thread.
        self.waiting.get_or_init(thread::current);
        fence(Ordering::SeqCst);
        let mut due = Due::default();
        while let Some(running) = self.running() {
            let now = crate::clock::now();
            match due.left(stop(), graceful_max, now) {
                Some(Duration::ZERO) => return Err(running),
                Some(left) => park_timeout(left),
                None => thread::park(),
            }
        }
        Ok(())
    }

    fn running(&self) -> Option<ShardId> {
        self.ended
            .iter()
            .position(|ended| !ended.load(Ordering::Acquire))
            .map(ShardId::new)
    }
}

#[cfg(not(squall_loom))]
fn park_timeout(left: Duration) {
    thread::park_timeout(left);
}

/// loom has no clock: all time has passed once every other thread has run.
#[cfg(squall_loom)]
fn park_timeout(_: Duration) {
    thread::yield_now();
}

/// The moment by which every shard must have exited.
#[derive(Default)]
struct Due {
    stop: Option<Stop>,
    at: Option<Instant>,
}

impl Due {
    /// Returns the time left, `None` without a limit. The time of a stop runs from when this thread first sees the
    /// request.
    fn left(&mut self, stop: Option<Stop>, graceful_max: Option<Duration>, now: Instant) -> Option<Duration> {
        if stop > self.stop {
            self.stop = stop;
            let may_take = match stop {
                Some(Stop::Now) => Some(Duration::ZERO),
                _ => graceful_max,
            };
            let at = may_take.and_then(|may_take| now.checked_add(may_take)?.checked_add(STOP_PATIENCE));
            self.at = [self.at, at].into_iter().flatten().min();
        }
        self.at.map(|at| at.saturating_duration_since(now))
    }
}

#[cfg(all(test, not(squall_loom)))]
mod tests {
    use super::{Due, STOP_PATIENCE};
    use crate::start::signal::Stop;
    use std::time::Duration;

    #[test]
    fn time_runs_from_the_first_request_and_a_firmer_one_only_shortens_it() {
        let (now, second) = (crate::clock::now(), Duration::from_secs(1));
        let mut due = Due::default();
        assert_eq!(due.left(None, Some(30 * second), now), None);
        let graceful = |due: &mut Due, at| due.left(Some(Stop::Graceful), Some(30 * second), now + at);
        assert_eq!(graceful(&mut due, second), Some(30 * second + STOP_PATIENCE));
        assert_eq!(graceful(&mut due, 3 * second), Some(28 * second + STOP_PATIENCE));
        assert_eq!(
            due.left(Some(Stop::Now), Some(30 * second), now + 4 * second),
            Some(STOP_PATIENCE)
        );
        assert_eq!(due.left(Some(Stop::Now), None, now + 60 * second), Some(Duration::ZERO));
    }

    #[test]
    fn without_a_limit_a_graceful_stop_is_never_overdue() {
        let now = crate::clock::now();
        let mut due = Due::default();
        for graceful_max in [None, Some(Duration::MAX)] {
            assert_eq!(due.left(Some(Stop::Graceful), graceful_max, now), None);
        }
        assert_eq!(due.left(Some(Stop::Now), None, now), Some(STOP_PATIENCE));
    }
}

#[cfg(all(test, squall_loom))]
mod tests {
    use super::ShardExits;
    use crate::shard::id::ShardId;
    use std::sync::Arc;

    /// The waiting thread sees every exit, whenever it happens; otherwise it stays parked, which loom reports.
    #[test]
    fn loom_the_exit_of_the_last_shard_is_seen() {
        loom::model(|| {
            let exits = Arc::new(ShardExits::new(2));
            for shard in 0..2 {
                let exits = Arc::clone(&exits);
                loom::thread::spawn(move || exits.record(ShardId::new(shard)));
            }
            assert_eq!(exits.wait(|| None, None), Ok(()));
        });
    }
}
