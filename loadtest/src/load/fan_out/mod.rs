//! The fan-out load: one WebSocket publishes, all subscribers receive, and the latency of each delivery is measured.
//!
//! Subscribers are WebSockets or event streams (`subscription`); the rules of counting are the same (`reader`).
//!
//! Each subscriber has received a greeting before the load begins (`setup`), so a message missing later was lost by the
//! server. Each thread (`worker`) then reads its share of the subscribers; the first also runs the publisher. A message
//! carries its number and due time, and each subscriber checks the numbers (`continuity`).

use std::ops::Range;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{CpuSet, sched_setaffinity};

mod continuity;
mod message;
mod notice;
mod publisher;
mod reader;
mod setup;
mod shared_progress;
mod stalled;
mod statistics;
mod subscriber;
mod subscription;
mod worker;

use crate::descriptors;
use crate::interrupt::Interrupt;
use crate::load::clock::{Clock, Nanos, nanos};
use crate::load::counts::Counts;
use crate::load::latency::Latencies;
use crate::load::plan::{FanOut, Plan};
use crate::load::progress::{Phase, Progress, Snapshot};
use crate::load::run_result::{CoreLatency, Deliveries, RunResult, Stalled};
use message::Messages;
use publisher::Publisher;
use setup::{Connected, Setup, ThreadShare};
use shared_progress::SharedProgress;
use stalled::StalledSubscribers;
use subscriber::{Faults, ReceiveState};
use worker::{FanOutWorker, Report};

/// Bytes of one recv(2): holds a whole burst for one subscriber.
const READ_BYTES: usize = 64 * 1024;

/// How often the run checks for an interrupt and for the end of its threads.
const TICK: Duration = Duration::from_millis(20);

/// Time for the threads to register their subscribers with epoll before the load begins.
const HEAD_START: Duration = Duration::from_millis(50);

/// Opens all connections, checks that each subscriber receives a greeting, publishes, and waits for the last delivery.
///
/// # Errors
///
/// A connection cannot be opened, or a greeting does not arrive. Failures during the load are counted instead.
pub(crate) fn run(
    plan: &Plan,
    fan_out: &FanOut,
    progress: &mut dyn Progress,
    interrupt: &Interrupt,
) -> Result<RunResult> {
    let sockets = plan.connections + fan_out.stalled + 1;
    descriptors::check_room(u32::try_from(sockets).context("too many connections")?)?;
    progress.phase(Phase::Checking);
    let mut setup = Setup::begin(plan, fan_out, interrupt)?;
    // With one subscriber first, so that a wrong URL fails before all connections are opened.
    setup.greet()?;
    progress.phase(Phase::Connecting);
    setup.open_all()?;
    setup.greet()?;
    let connected = Connected::from(setup)?;
    let missed = || -> Result<Option<u64>> {
        let path = fan_out.statistics.as_deref();
        path.map(|path| statistics::missed(&fan_out.publish, path, plan.timeout))
            .transpose()
    };
    // The server's counter covers its whole life, so only the difference belongs to this run.
    let missed_before = missed()?;
    let mut outcome = FanOutRun::new(plan, fan_out, interrupt).run(connected, progress)?;
    let stalled = outcome
        .fan_out
        .as_mut()
        .and_then(|deliveries| deliveries.stalled.as_mut());
    if let (Some(stalled), Some(before), Some(after)) = (stalled, missed_before, missed()?) {
        stalled.counted_by_server = Some(after.saturating_sub(before));
    }
    Ok(outcome)
}

/// The load, after all connections are open.
struct FanOutRun<'run> {
    plan: &'run Plan,
    fan_out: &'run FanOut,
    interrupt: &'run Interrupt,
    clock: Clock,
    start: Nanos,
    window: Range<Nanos>,
    shared: SharedProgress,
}

impl<'run> FanOutRun<'run> {
    fn new(plan: &'run Plan, fan_out: &'run FanOut, interrupt: &'run Interrupt) -> Self {
        let clock = Clock::start();
        let start = clock.now() + nanos(HEAD_START);
        let window_start = start + nanos(plan.warmup);
        Self {
            plan,
            fan_out,
            interrupt,
            clock,
            start,
            window: window_start..window_start + nanos(plan.duration),
            shared: SharedProgress::new(plan.connections as u64),
        }
    }

    fn run(&self, connected: Connected, progress: &mut dyn Progress) -> Result<RunResult> {
        let publisher = Publisher::new(
            connected.publisher,
            self.messages(),
            self.fan_out,
            self.start,
            self.window.clone(),
        );
        let mut publisher = Some(publisher);
        let reports = thread::scope(|scope| {
            let threads: Vec<ScopedJoinHandle<'_, Result<Report<'_>>>> = connected
                .shares
                .into_iter()
                .enumerate()
                .map(|(number, share)| {
                    // The first thread takes the publisher.
                    let publisher = publisher.take();
                    let name = format!("fan-out-{number}");
                    let work = move || self.run_thread(number, share, publisher);
                    thread::Builder::new().name(name).spawn_scoped(scope, work)
                })
                .collect::<Result<_, _>>()
                .context("could not start a thread")?;
            self.watch(&threads, progress);
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow!("a thread of the fan-out panicked"))?)
                .collect::<Result<Vec<Report<'_>>>>()
        })?;
        Ok(self.result(reports))
    }

    fn run_thread(&self, number: usize, share: ThreadShare, publisher: Option<Publisher>) -> Result<Report<'_>> {
        let turn = number.checked_rem(self.plan.cores.len());
        if let Some(core) = turn.and_then(|turn| self.plan.cores.get(turn)) {
            let mut set = CpuSet::new();
            set.set(*core);
            sched_setaffinity(None, &set).with_context(|| format!("could not pin a thread to core {core}"))?;
        }
        let state = self.state(self.window.clone());
        let stalled = StalledSubscribers::new(share.stalled, self.state(Nanos::MAX..Nanos::MAX));
        let patience = nanos(self.plan.timeout);
        let report = FanOutWorker::new(share.readers, publisher, stalled, state, patience).and_then(FanOutWorker::run);
        // Without this, the other threads would wait for a publisher that has ended.
        if report.is_err() {
            self.shared.finish(self.clock.now());
        }
        report
    }

    fn messages(&self) -> Messages {
        Messages::new(self.plan.target.scheme, self.fan_out.message_bytes)
    }

    /// Makes an empty receive state that records latencies of messages due in `window`.
    fn state(&self, window: Range<Nanos>) -> ReceiveState<'_> {
        let by_place = self.fan_out.connect_cores.iter().map(|_| Latencies::new());
        // The load has settled by the latter half of the warm-up.
        let quiet = self.start.midpoint(window.start.min(self.window.start))..window.start.min(self.window.start);
        ReceiveState {
            clock: self.clock,
            shared: &self.shared,
            messages: self.messages(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            counts: Counts {
                window,
                ..Counts::new()
            },
            faults: Faults::default(),
            delivered: 0,
            quiet: (quiet, Latencies::new()),
            by_place: by_place.collect(),
        }
    }

    /// Reports progress until all threads have ended, and passes on an interrupt.
    fn watch<T>(&self, threads: &[ScopedJoinHandle<'_, T>], progress: &mut dyn Progress) {
        let mut phase = None;
        let (mut reported_at, mut reported) = (self.start, 0);
        while !threads.iter().all(ScopedJoinHandle::is_finished) {
            let now = self.clock.now();
            let (current, span) = self.phase_at(now);
            if phase != Some(current) {
                progress.phase(current);
                phase = Some(current);
            }
            if now.saturating_sub(reported_at) >= 1_000_000_000 && current != Phase::Finishing {
                let answers = self.shared.delivered();
                progress.tick(&Snapshot {
                    phase: current,
                    elapsed: Duration::from_nanos(now.saturating_sub(span.start)),
                    length: Duration::from_nanos(span.end - span.start),
                    answers,
                    answers_per_second: (answers - reported) as f64 * 1e9 / (now - reported_at) as f64,
                    errors: self.shared.failed(),
                    connections: self.shared.live(),
                });
                (reported_at, reported) = (now, answers);
            }
            if self.interrupt.is_raised() {
                self.shared.stop();
            }
            thread::sleep(TICK.min(Duration::from_nanos(span.end.saturating_sub(now))));
        }
    }

    /// Returns the phase at `now`, and its span.
    fn phase_at(&self, now: Nanos) -> (Phase, Range<Nanos>) {
        if self.shared.finished_at().is_some() || now >= self.window.end {
            (Phase::Finishing, now..Nanos::MAX)
        } else if now >= self.window.start {
            (Phase::Timing, self.window.clone())
        } else {
            (Phase::WarmingUp, self.start..self.window.start)
        }
    }

    fn result(&self, reports: Vec<Report<'_>>) -> RunResult {
        let mut counts = Counts::new();
        let mut faults = Faults::default();
        let (mut lag, mut quiet) = (Latencies::new(), Latencies::new());
        let mut by_place: Vec<Latencies> = self.fan_out.connect_cores.iter().map(|_| Latencies::new()).collect();
        let mut stalled: Option<Stalled> = None;
        for report in &reports {
            counts.add(&report.state.counts);
            faults += report.state.faults;
            quiet.add(&report.state.quiet.1);
            for (sum, latencies) in by_place.iter_mut().zip(&report.state.by_place) {
                sum.add(latencies);
            }
            stalled = stalled.map_or(report.stalled, |sum| {
                Some(report.stalled.map_or(sum, |more| sum + more))
            });
            if let Some(publisher) = &report.publisher {
                lag.add(&publisher.lag);
            }
        }
        let end = self
            .shared
            .finished_at()
            .unwrap_or(self.window.end)
            .min(self.window.end);
        let elapsed = Duration::from_nanos(end.saturating_sub(self.window.start)).as_secs_f64();
        let connections = self.plan.connections + self.fan_out.stalled + 1;
        counts.connections_opened = connections as u64;
        let cores = self.fan_out.connect_cores.iter().zip(&by_place);
        let by_core = cores.map(|(core, latencies)| CoreLatency {
            core: *core,
            latency: latencies.summarize(),
        });
        RunResult {
            fan_out: Some(Deliveries {
                subscribers: self.plan.connections as u64,
                published: self.shared.published(),
                lost: faults.lost,
                duplicated: faults.duplicated,
                out_of_order: faults.out_of_order,
                told: faults.told,
                quiet_latency: quiet.summarize(),
                by_core: by_core.collect(),
                stalled,
                publisher_lag: self.fan_out.rate.and_then(|_| lag.summarize()),
            }),
            ..counts.into_result(elapsed, self.shared.is_stopped())
        }
    }
}
