//! Notices a shard that has been kept from its sockets for too long, by a handler that computes or blocks, while it still is.
//!
//! Everybody else on the shard waits meanwhile, so it is counted and said, at most once a second, with the work that does it if that
//! has a name. Seastar's reactor reports the same at the same threshold.
//!
//! A thread of its own looks: a shard only adds one to a number when its tasks begin to run and one when they are done, and reads
//! no clock for it. Odd and unchanged for too long is a stall. When all shards have slept for a while so does the watchdog; the
//! first to wake wakes it. It may miss that by a turn, so a stall in the very first turn after a rest is found a turn late.
//!
//! While a shard stalls, new connections are led to the others, as far as its listeners allow it; if asked, also while it has far more
//! connections than its share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crossbeam::queue::SegQueue;

use super::imbalance::{ImbalanceLog, overfull};
use crate::net::ReuseportGroup;
use crate::shard::shard::ShardId;

/// Tasks that run longer than this without a look at the sockets are a stall: a quarter of what a person notices, and a thousand
/// times what a turn should take.
const STALL_MIN: Duration = Duration::from_millis(25);

/// How often the watchdog looks: half of that, so that a stall is said within 40 ms of its beginning.
const CHECK_INTERVAL: Duration = Duration::from_micros(12_500);

/// After so many looks at which nothing had moved the watchdog rests: an idle server uses no CPU time.
const QUIET_CHECKS_MAX: u32 = 16;

/// How often a shard's stalls are logged at the most; all are counted.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What a shard shows of itself to the watchdog.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    /// Odd while tasks run. Written by the shard only.
    beat: AtomicU64,
    /// What the tasks work on: an index into `names`. Written by the shard only.
    work: Arc<AtomicUsize>,
    names: OnceLock<Arc<[String]>>,
    stalls: AtomicU64,
    stalls_shed: AtomicU64,
    /// Written by the shard only.
    connections: AtomicUsize,
    longest_nanoseconds: AtomicU64,
}

impl Heartbeat {
    /// Tasks begin to run.
    pub(crate) fn begin(&self, watchdog: &Watchdog) {
        self.beat();
        if watchdog.rests.load(Ordering::Relaxed) {
            watchdog.wake();
        }
    }

    /// Tasks have run.
    pub(crate) fn end(&self) {
        self.beat();
    }

    fn beat(&self) {
        // No read-modify-write: nobody else writes.
        self.beat
            .store(self.beat.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The shard has so many connections.
    pub(crate) fn count_connections(&self, connections: usize) {
        self.connections.store(connections, Ordering::Relaxed);
    }

    /// Gives names to what tasks work on, once, and hands out the place to say it in: an index into the names.
    pub(crate) fn name_work(&self, names: Arc<[String]>) -> Arc<AtomicUsize> {
        self.names.get_or_init(|| names);
        Arc::clone(&self.work)
    }

    pub(crate) fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    pub(crate) fn stalls_shed(&self) -> u64 {
        self.stalls_shed.load(Ordering::Relaxed)
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest_nanoseconds.load(Ordering::Relaxed))
    }

    /// The name of what the tasks work on.
    pub(crate) fn work(&self) -> Option<&str> {
        let names = self.names.get()?;
        names.get(self.work.load(Ordering::Relaxed)).map(String::as_str)
    }
}

/// The thread that looks after all shards of a process, as they see it.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    heartbeats: Box<[Arc<Heartbeat>]>,
    /// Whether new connections are led away from shards that have far more than their share.
    balances: bool,
    /// What shards have begun to listen with since the last look.
    reuseport_groups: SegQueue<Arc<ReuseportGroup>>,
    rests: AtomicBool,
    ended: AtomicBool,
    thread: OnceLock<Thread>,
}

/// Ends the watchdog when it is dropped.
#[derive(Debug)]
pub(crate) struct WatchdogThread {
    watchdog: Arc<Watchdog>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn new(shards: usize, balances: bool) -> Arc<Self> {
        Arc::new(Self {
            balances,
            heartbeats: (0..shards).map(|_| Arc::default()).collect(),
            ..Self::default()
        })
    }

    /// How many shards it looks after.
    pub(crate) fn shards(&self) -> usize {
        self.heartbeats.len()
    }

    /// The heartbeat of a shard.
    pub(crate) fn heartbeat(&self, shard: ShardId) -> Arc<Heartbeat> {
        self.heartbeats.get(shard.index()).map(Arc::clone).unwrap_or_default()
    }

    /// Leads new connections to these listeners away from shards that stall, until one of the listeners closes.
    pub(crate) fn watch_group(&self, reuseport_group: Arc<ReuseportGroup>) {
        self.reuseport_groups.push(reuseport_group);
    }

    /// Starts to look. Without a thread, which is logged, shards run unobserved.
    pub(crate) fn start(self: &Arc<Self>) -> WatchdogThread {
        let watchdog = Arc::clone(self);
        let thread = thread::Builder::new()
            .name("squall-watchdog".to_owned())
            .spawn(move || watchdog.run_until_ended())
            .inspect_err(|error| tracing::warn!(%error, "there is no thread to look out for stalls"))
            .ok();
        WatchdogThread {
            watchdog: Arc::clone(self),
            thread,
        }
    }

    #[cold]
    fn wake(&self) {
        if self.rests.swap(false, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    fn run_until_ended(&self) {
        // By itself, before it first rests: who wakes it must find it.
        self.thread.get_or_init(thread::current);
        let mut watched: Vec<_> = (0..self.heartbeats.len())
            .map(ShardId::new)
            .map(HeartbeatWatch::new)
            .collect();
        let (mut reuseport_groups, mut imbalance_log) = (Vec::new(), ImbalanceLog::default());
        let mut quiet_checks = 0;
        while !self.ended.load(Ordering::Acquire) {
            let now = crate::clock::now();
            let mut has_moved = false;
            for (watched, heartbeat) in watched.iter_mut().zip(&self.heartbeats) {
                has_moved |= watched.check(heartbeat, now);
            }
            reuseport_groups.extend(std::iter::from_fn(|| self.reuseport_groups.pop()));
            let connections = self
                .heartbeats
                .iter()
                .map(|heartbeat| heartbeat.connections.load(Ordering::Relaxed));
            let connections: Vec<usize> = connections.collect();
            let overfull = overfull(&connections);
            imbalance_log.report(&connections, &overfull, now);
            self.steer_away(&mut reuseport_groups, &mut watched, &overfull);
            quiet_checks = if has_moved { 0 } else { quiet_checks + 1 };
            if quiet_checks < QUIET_CHECKS_MAX {
                thread::park_timeout(CHECK_INTERVAL);
                continue;
            }
            quiet_checks = 0;
            self.rests.store(true, Ordering::Release);
            while self.rests.load(Ordering::Acquire) && !self.ended.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }

    /// Leads new connections away from the shards that stall or, if asked, are overfull, and back to those that are no more. Nobody is
    /// overfull beside shards that stall only.
    fn steer_away(
        &self,
        reuseport_groups: &mut Vec<Arc<ReuseportGroup>>,
        watched: &mut [HeartbeatWatch],
        overfull: &[bool],
    ) {
        let stalled: Vec<bool> = watched.iter().map(|watched| watched.is_counted).collect();
        let mut avoided = stalled.clone();
        if self.balances {
            avoided
                .iter_mut()
                .zip(overfull)
                .for_each(|(avoided, overfull)| *avoided |= *overfull);
        }
        let avoided = if avoided.contains(&false) { avoided } else { stalled };
        let mut steered_away = false;
        reuseport_groups.retain(|reuseport_group| {
            steered_away |= reuseport_group.steer_away_from(&avoided);
            !reuseport_group.has_ended()
        });
        for (watched, heartbeat) in watched.iter_mut().zip(&self.heartbeats) {
            if steered_away && watched.is_counted && !std::mem::replace(&mut watched.is_shed, true) {
                heartbeat.stalls_shed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for WatchdogThread {
    fn drop(&mut self) {
        self.watchdog.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().unwrap_or_default();
        }
    }
}

/// What the watchdog knows of one shard.
struct HeartbeatWatch {
    shard: ShardId,
    beat: u64,
    /// When this beat was first seen.
    since: Option<Instant>,
    /// This beat's stall has been counted.
    is_counted: bool,
    /// New connections have been led away from it.
    is_shed: bool,
    reported: Option<Instant>,
}

impl HeartbeatWatch {
    fn new(shard: ShardId) -> Self {
        Self {
            shard,
            beat: 0,
            since: None,
            is_counted: false,
            is_shed: false,
            reported: None,
        }
    }

    /// Looks at a shard's heartbeat; true unless the shard has slept since the last look.
    fn check(&mut self, heartbeat: &Heartbeat, now: Instant) -> bool {
        let beat = heartbeat.beat.load(Ordering::Relaxed);
        let runs = beat % 2 == 1;
        if beat != self.beat {
            self.beat = beat;
            self.since = Some(now);
            self.is_counted = false;
            self.is_shed = false;
            return true;
        }
        let took = self
            .since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if runs && took >= STALL_MIN {
            self.stalls(heartbeat, took, now);
        }
        runs
    }

    fn stalls(&mut self, heartbeat: &Heartbeat, took: Duration, now: Instant) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        heartbeat.longest_nanoseconds.fetch_max(nanoseconds, Ordering::Relaxed);
        if std::mem::replace(&mut self.is_counted, true) {
            return;
        }
        let stalls = heartbeat.stalls.fetch_add(1, Ordering::Relaxed) + 1;
        let is_due = |reported| now.saturating_duration_since(reported) >= REPORT_INTERVAL;
        if self.reported.is_none_or(is_due) {
            self.reported = Some(now);
            let shard = self.shard;
            let work = Work(heartbeat.work());
            tracing::warn!(
                %shard, %work, ?took, stalls,
                "tasks keep a shard from its connections; move blocking work to spawn_blocking, or yield in between"
            );
        }
    }
}

/// What a shard works on, as a log line says it.
struct Work<'a>(Option<&'a str>);

impl fmt::Display for Work<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.unwrap_or("not named"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Heartbeat, HeartbeatWatch, STALL_MIN, Watchdog};
    use crate::shard::shard::ShardId;
    use std::time::Duration;

    #[test]
    fn one_long_run_is_one_stall_and_its_length_is_kept() {
        let (watchdog, heartbeat, start) = (Watchdog::new(0, false), Heartbeat::default(), crate::clock::now());
        let mut watched = HeartbeatWatch::new(ShardId::FIRST);
        let mut look = |milliseconds| watched.check(&heartbeat, start + Duration::from_millis(milliseconds));
        assert!(!look(0), "it has not begun");
        heartbeat.begin(&watchdog);
        assert!(look(10));
        assert!(look(10 + 24) && heartbeat.stalls() == 0, "not yet");
        for milliseconds in [10 + 25, 60, 2000] {
            assert!(look(milliseconds));
            assert_eq!(heartbeat.stalls(), 1);
            assert_eq!(heartbeat.longest(), Duration::from_millis(milliseconds - 10));
        }
        heartbeat.end();
        assert!(look(2010));
        assert!(!look(9000), "it sleeps");
        assert_eq!(
            (heartbeat.stalls(), heartbeat.longest()),
            (1, Duration::from_millis(1990))
        );
    }

    #[test]
    fn short_runs_are_no_stall_however_many_there_are() {
        let (watchdog, heartbeat, start) = (Watchdog::new(0, false), Heartbeat::default(), crate::clock::now());
        let mut watched = HeartbeatWatch::new(ShardId::FIRST);
        for turn in 0..100 {
            heartbeat.begin(&watchdog);
            assert!(watched.check(&heartbeat, start + turn * STALL_MIN));
            heartbeat.end();
        }
        assert_eq!(heartbeat.stalls(), 0);
    }
}
