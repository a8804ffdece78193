//! Which shards have exited, for the thread that waits for all of them.
//!
//! A shard whose task computes or blocks does not see a stop request, and a thread cannot be ended from outside. So the
//! waiting thread keeps the time itself: it gives up an overdue shard, and the process can exit.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::signal::Stop;
use crate::shard::id::ShardId;

/// How long after its limit a stop may take before a shard counts as stuck: 80 times the watchdog's stall threshold.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// A message to the thread that waits for all shards.
#[derive(Debug)]
pub(crate) enum ExitEvent {
    /// A shard has exited.
    Exited(ShardId),
    /// A stop was requested, so the time it may take has begun.
    StopRequested,
}

/// Waits until every shard has exited.
///
/// A graceful stop may take `graceful_max` (`None`: no limit), an immediate one no time; [`STOP_PATIENCE`] is added
/// to both.
///
/// # Errors
///
/// The first shard still running when the time is up.
pub(crate) fn await_exits(
    events: &Receiver<ExitEvent>,
    shards: usize,
    stop: impl Fn() -> Option<Stop>,
    graceful_max: Option<Duration>,
) -> Result<(), ShardId> {
    let mut running: BTreeSet<ShardId> = (0..shards).map(ShardId::new).collect();
    let mut due = Due::default();
    while let Some(&first) = running.first() {
        // Without time left, events that have come still count: the channel is read before its timeout.
        let event = match due.left(stop(), graceful_max, crate::clock::now()) {
            Some(left) => events.recv_timeout(left),
            None => events.recv().map_err(RecvTimeoutError::from),
        };
        match event {
            Ok(ExitEvent::Exited(shard)) => {
                running.remove(&shard);
            }
            Ok(ExitEvent::StopRequested) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Err(first),
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

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

    #[test]
    fn the_wait_ends_with_the_last_exit_in_any_order() {
        let (sender, events) = channel();
        for event in [
            ExitEvent::Exited(ShardId::new(1)),
            ExitEvent::StopRequested,
            ExitEvent::Exited(ShardId::FIRST),
        ] {
            sender.send(event).unwrap();
        }
        assert_eq!(await_exits(&events, 2, || None, None), Ok(()));
    }
}
