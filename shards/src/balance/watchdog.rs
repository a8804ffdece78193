//! Detects a shard whose tasks compute or block for 25 ms without a look at its sockets, while they still run.
//!
//! Each stall is counted. At most one per second and shard is logged: while it lasts, with what the shard runs, and at
//! its end, with its whole length. Seastar's reactor reports stalls at the same threshold.
//!
//! The report names the work of the current task, such as a route, or else the place in the source that started the
//! task. Both are set anew at each poll, so one task is not blamed for another. Of several tasks in one run, the
//! watchdog blames the one it has found running most often.
//!
//! A thread of its own checks. A shard only increments a number when its tasks start and when they end, without reading
//! a clock. A number that stays odd for too long is a stall. Once all shards have slept for a while the watchdog sleeps
//! too, and the first shard to wake wakes it. That wake-up may come a turn late, so a stall in the very first turn
//! after a rest is found a turn late.
//!
//! During a stall, new connections are steered to the other shards, as far as the listeners allow. With `--balance` the
//! same happens while a shard has far more connections than its share.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crossbeam::atomic::AtomicCell;
use crossbeam::queue::SegQueue;

use super::imbalance::{ImbalanceLog, overfull};
use super::reuseport::ReuseportGroup;
use crate::shard::id::ShardId;

/// The threshold of a stall. 25 ms: a quarter of what a person notices, and a thousand times a normal turn.
const STALL_MIN: Duration = Duration::from_millis(25);

/// How often the watchdog checks. Half the threshold, so that a stall is reported within 40 ms of its start.
const CHECK_INTERVAL: Duration = Duration::from_micros(12_500);

/// After this many checks without any progress the watchdog sleeps, so that an idle server uses no CPU time.
const QUIET_CHECKS_MAX: u32 = 16;

/// The least time between the reports of two stalls of one shard; all stalls are counted.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How many works of one stall are counted; further ones are not blamed. 16: a check finds one, and few are found twice.
const WORKS_MAX: usize = 16;

/// What a shard publishes for the watchdog.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    /// Odd while tasks run; written by the shard only.
    beat: AtomicU64,
    /// Where the running task was started; written by the shard only.
    place: AtomicCell<Option<Place>>,
    /// What the running task works on: an index into `names`, or [`UNNAMED`]; written by the shard only.
    work: Work,
    names: OnceLock<Arc<[String]>>,
    stalls: AtomicU64,
    stalls_shed: AtomicU64,
    /// Written by the shard only.
    connections: AtomicUsize,
    longest_nanoseconds: AtomicU64,
}

/// A place in the source.
pub(crate) type Place = &'static Location<'static>;

// The shard stores a place at each poll of a task, and takes no lock for it.
const _: () = assert!(AtomicCell::<Option<Place>>::is_lock_free());

/// The index of work without a name.
const UNNAMED: usize = usize::MAX;

/// The cell for the index of the current work.
#[derive(Debug)]
struct Work(Arc<AtomicUsize>);

impl Default for Work {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(UNNAMED)))
    }
}

impl Heartbeat {
    /// Records that the shard now runs what was started at `place`, which has not named its work yet.
    pub(crate) fn run(&self, place: Place) {
        self.place.store(Some(place));
        self.work.0.store(UNNAMED, Ordering::Relaxed);
    }

    /// Marks the start of a run of tasks.
    pub(crate) fn begin(&self, watchdog: &Watchdog) {
        self.beat();
        if watchdog.rests.load(Ordering::Relaxed) {
            watchdog.wake();
        }
    }

    /// Marks the end of a run of tasks.
    pub(crate) fn end(&self) {
        self.beat();
    }

    fn beat(&self) {
        // A plain store instead of a read-modify-write: the shard is the only writer.
        self.beat
            .store(self.beat.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Publishes the number of connections of the shard.
    pub(crate) fn count_connections(&self, connections: usize) {
        self.connections.store(connections, Ordering::Relaxed);
    }

    /// Sets the names of work, once, and returns the cell for the index of the current one. Each poll of a task begins
    /// without a name.
    pub(crate) fn name_work(&self, names: Arc<[String]>) -> Arc<AtomicUsize> {
        self.names.get_or_init(|| names);
        Arc::clone(&self.work.0)
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

    /// Returns what the shard runs: the name of the work, or else the place that started it.
    pub(crate) fn work(&self) -> Option<String> {
        let index = self.work.0.load(Ordering::Relaxed);
        let name = self.names.get().and_then(|names| names.get(index)).cloned();
        name.or_else(|| Some(format!("code started at {}", self.place.load()?)))
    }
}

/// The state shared by the watchdog thread and all shards.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    heartbeats: Box<[Arc<Heartbeat>]>,
    /// Whether new connections are steered away from overfull shards.
    balances: bool,
    /// Reuseport groups that shards began to listen on since the last check.
    reuseport_groups: SegQueue<Arc<ReuseportGroup>>,
    rests: AtomicBool,
    ended: AtomicBool,
    thread: OnceLock<Thread>,
}

/// Ends the watchdog thread when dropped.
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

    /// Returns the number of shards watched.
    pub(crate) fn shards(&self) -> usize {
        self.heartbeats.len()
    }

    /// Returns the heartbeat of a shard.
    pub(crate) fn heartbeat(&self, shard: ShardId) -> Arc<Heartbeat> {
        self.heartbeats.get(shard.index()).map(Arc::clone).unwrap_or_default()
    }

    /// Steers new connections of this group away from stalled shards, until one of its listeners closes.
    pub(crate) fn watch_group(&self, reuseport_group: Arc<ReuseportGroup>) {
        self.reuseport_groups.push(reuseport_group);
    }

    /// Starts the watchdog thread; without one, which is logged, stalls go unnoticed.
    pub(crate) fn start(self: &Arc<Self>) -> WatchdogThread {
        let watchdog = Arc::clone(self);
        let thread = thread::Builder::new()
            .name("squall-watchdog".to_owned())
            .spawn(move || watchdog.run_until_ended())
            .inspect_err(
                |error| tracing::warn!(%error, "could not start the watchdog thread: stalls will not be reported"),
            )
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
        // Set here, before the first rest, so that a shard that clears `rests` finds the thread to unpark.
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
            // A shard that starts a run of tasks clears this and unparks the thread.
            self.rests.store(true, Ordering::Release);
            while self.rests.load(Ordering::Acquire) && !self.ended.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }

    /// Steers new connections away from stalled shards and, with `balances`, from overfull ones; ends it where that is
    /// over.
    ///
    /// If every shard is stalled or overfull, the overfull ones still get connections.
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
        // With every shard to be avoided, only stalls count; overfull shards still serve.
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
    /// Whether the stall of this beat has been counted.
    is_counted: bool,
    /// Whether new connections were steered away during this stall.
    is_shed: bool,
    /// When a stall was last reported.
    reported: Option<Instant>,
    /// What the checks of this beat found running, each with how many of them.
    found: Vec<(String, u32)>,
    /// The work that this stall was reported with.
    blamed: Option<String>,
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
            found: Vec::new(),
            blamed: None,
        }
    }

    /// Checks a shard's heartbeat; returns whether the shard has run since the last check.
    fn check(&mut self, heartbeat: &Heartbeat, now: Instant) -> bool {
        let beat = heartbeat.beat.load(Ordering::Relaxed);
        let runs = beat % 2 == 1;
        if beat != self.beat {
            self.report_end(now);
            self.found.clear();
            self.beat = beat;
            self.since = Some(now);
            self.is_counted = false;
            self.is_shed = false;
            return true;
        }
        let took = self
            .since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if runs {
            self.find(heartbeat.work());
        }
        if runs && took >= STALL_MIN {
            self.stalls(heartbeat, took, now);
        }
        runs
    }

    /// Counts a work that was found running.
    fn find(&mut self, work: Option<String>) {
        let work = work.unwrap_or_else(|| "unnamed".to_owned());
        if let Some((_, times)) = self.found.iter_mut().find(|(found, _)| *found == work) {
            *times += 1;
        } else if self.found.len() < WORKS_MAX {
            self.found.push((work, 1));
        }
    }

    /// Returns the work that was found most often; of equals, the latest.
    fn culprit(&self) -> Option<&String> {
        self.found.iter().max_by_key(|(_, times)| *times).map(|(work, _)| work)
    }

    fn stalls(&mut self, heartbeat: &Heartbeat, took: Duration, now: Instant) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        heartbeat.longest_nanoseconds.fetch_max(nanoseconds, Ordering::Relaxed);
        if !std::mem::replace(&mut self.is_counted, true) {
            heartbeat.stalls.fetch_add(1, Ordering::Relaxed);
        }
        let is_due = |reported| now.saturating_duration_since(reported) >= REPORT_INTERVAL;
        if !self.reported.is_none_or(is_due) {
            return;
        }
        // A long stall behind a reported one is reported once the interval has passed. So is a task in the same run
        // that takes longer than the reported one.
        let Some(work) = self.culprit().cloned() else { return };
        if self.blamed.as_ref() != Some(&work) {
            self.reported = Some(now);
            let (shard, stalls) = (self.shard, heartbeat.stalls());
            tracing::warn!(
                %shard, %work, ?took, stalls,
                "tasks block a shard; move blocking work to spawn_blocking, or yield"
            );
            self.blamed = Some(work);
        }
    }

    /// Reports the end of a reported stall, with its whole length, which is accurate to [`CHECK_INTERVAL`].
    fn report_end(&mut self, now: Instant) {
        if let (Some(reported), Some(since)) = (self.blamed.take(), self.since) {
            // Another task may have taken longer since.
            let work = self.culprit().unwrap_or(&reported);
            let (shard, took) = (self.shard, now.saturating_duration_since(since));
            tracing::warn!(%shard, %work, ?took, "a shard serves its sockets again after tasks blocked it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Heartbeat, HeartbeatWatch, STALL_MIN, Watchdog};
    use crate::shard::id::ShardId;
    use std::panic::Location;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    #[test]
    fn one_long_run_is_one_stall_with_its_length() {
        let (watchdog, heartbeat, start) = (Watchdog::new(0, false), Heartbeat::default(), crate::clock::now());
        let mut watched = HeartbeatWatch::new(ShardId::FIRST);
        let mut look = |milliseconds| watched.check(&heartbeat, start + Duration::from_millis(milliseconds));
        assert!(!look(0), "not started");
        heartbeat.begin(&watchdog);
        assert!(look(10));
        assert!(look(10 + 24) && heartbeat.stalls() == 0, "below the threshold");
        for milliseconds in [10 + 25, 60, 2000] {
            assert!(look(milliseconds));
            assert_eq!(heartbeat.stalls(), 1);
            assert_eq!(heartbeat.longest(), Duration::from_millis(milliseconds - 10));
        }
        assert!(watched.blamed.is_some(), "reported");
        heartbeat.end();
        assert!(watched.check(&heartbeat, start + Duration::from_millis(2010)));
        assert!(watched.blamed.is_none(), "its end is reported");
        let mut look = |milliseconds| watched.check(&heartbeat, start + Duration::from_millis(milliseconds));
        assert!(!look(9000), "the shard sleeps");
        assert_eq!(
            (heartbeat.stalls(), heartbeat.longest()),
            (1, Duration::from_millis(1990))
        );
    }

    #[test]
    fn a_long_stall_right_behind_a_short_one_is_reported_once_the_interval_has_passed() {
        let (watchdog, heartbeat, start) = (Watchdog::new(0, false), Heartbeat::default(), crate::clock::now());
        let mut watched = HeartbeatWatch::new(ShardId::FIRST);
        let mut is_reported = |milliseconds| {
            watched.check(&heartbeat, start + Duration::from_millis(milliseconds));
            watched.blamed.is_some()
        };
        heartbeat.begin(&watchdog);
        assert_eq!([0, 30].map(&mut is_reported), [false, true]);
        heartbeat.end();
        heartbeat.begin(&watchdog);
        assert_eq!([40, 80, 1000, 1040].map(&mut is_reported), [false, false, false, true]);
        assert_eq!(heartbeat.stalls(), 2);
    }

    /// The report is due while an innocent task runs: the one that ran before, and longer, is blamed for the length.
    #[test]
    fn the_task_that_took_longest_is_blamed_and_not_the_one_that_runs_when_a_report_is_due() {
        let (watchdog, heartbeat, start) = (Watchdog::new(0, false), Heartbeat::default(), crate::clock::now());
        let (culprit, innocent) = (Location::caller(), elsewhere());
        let mut watched = HeartbeatWatch::new(ShardId::FIRST);
        let mut blamed = |milliseconds| {
            watched.check(&heartbeat, start + Duration::from_millis(milliseconds));
            watched.blamed.clone()
        };
        let reported = |place: &Location<'_>| Some(format!("code started at {place}"));
        heartbeat.begin(&watchdog);
        heartbeat.run(innocent);
        assert_eq!([0, 30].map(&mut blamed), [None, reported(innocent)]);
        heartbeat.end();
        heartbeat.begin(&watchdog);
        heartbeat.run(culprit);
        assert_eq!([40, 500, 1000].map(&mut blamed), [None, None, None]);
        heartbeat.run(innocent);
        assert_eq!(blamed(1040), reported(culprit));
    }

    fn elsewhere() -> &'static Location<'static> {
        Location::caller()
    }

    #[test]
    fn a_task_is_named_by_its_work_or_its_place_and_not_by_the_work_of_the_task_before() {
        let heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.work(), None);
        let index = heartbeat.name_work(["the route /a".to_owned()].into());
        let (here, line) = (Location::caller(), line!());
        heartbeat.run(here);
        let unnamed = heartbeat.work().unwrap();
        assert!(
            unnamed.contains("watchdog.rs") && unnamed.contains(&format!(":{line}:")),
            "{unnamed}"
        );
        index.store(0, Ordering::Relaxed);
        assert_eq!(heartbeat.work().as_deref(), Some("the route /a"));
        heartbeat.run(here);
        assert_eq!(heartbeat.work(), Some(unnamed));
    }

    #[test]
    fn any_number_of_short_runs_is_not_a_stall() {
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
