//! A measurement: the generator's counts and the server's resource usage over one timed window, as a sample of the
//! record.
//!
//! The server's counters are read when the window opens and when it closes, so figures exclude warm-up, connecting and
//! late answers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Pid;

use crate::interrupt::Interrupt;
use crate::load::latency::LatencySummary;
use crate::load::progress::{Phase, Snapshot};
use crate::load::run_result::Deliveries;
use crate::load::{self, Plan, Progress, RunResult};
use crate::proc::{self, CoreTime, Memory, PeakMemory, ProcessTime, RunTime};
use crate::record::{Connections, CpuPerRequest, FanOut, Hop, Idleness, Kind, Latency, Noise, Point, Sample, Slow};
use crate::syscalls::Counter;

/// The fewest requests for which a percentile with three or four nines is reported.
const REQUESTS_FOR_THREE_NINES: u64 = 1000;
const REQUESTS_FOR_FOUR_NINES: u64 = 10_000;

/// The cores of server and load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) load: usize,
}

/// A server under measurement: its processes, its cores, and its memory before the first connection.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) pids: Vec<Pid>,
    pub(crate) cores: Cores,
    pub(crate) empty: Memory,
    /// Whether it runs on both cores, which makes the noise on them unmeasurable.
    spans_cores: bool,
}

impl Subject {
    /// Reads the memory of an idle server.
    pub(crate) fn new(pids: Vec<Pid>, cores: Cores, spans_cores: bool) -> Result<Self> {
        let empty = proc::sum(&pids, Memory::read)?;
        pids.iter().copied().for_each(PeakMemory::reset);
        Ok(Self {
            pids,
            cores,
            empty,
            spans_cores,
        })
    }

    /// Runs `plan` and measures the server; returns `None` if the user interrupted.
    ///
    /// The caller adds the names, the round and the offered rate.
    pub(crate) fn sample(&self, kind: Kind, plan: &Plan, interrupt: &Interrupt) -> Result<Option<Sample>> {
        let mut window = Window::over(self, kind == Kind::Slow);
        let outcome = load::run(plan, &mut window, interrupt)?;
        if outcome.interrupted || interrupt.is_raised() {
            return Ok(None);
        }
        ensure_answers(&outcome, kind)?;
        let growth = window.growth_kib();
        let sample = sample(kind, &outcome, self.empty, &window.usage()?);
        Ok(Some(Sample {
            noise: sample.noise.filter(|_| !self.spans_cores),
            slow: slow(&outcome, growth),
            ..sample
        }))
    }

    /// Measures system calls per request in a window of its own; returns `None` if the user interrupted.
    pub(crate) fn count_system_calls(&self, plan: &Plan, interrupt: &Interrupt) -> Result<Option<f64>> {
        let mut counting = Counting {
            counter: Counter::attach(&self.pids)?,
            failure: None,
        };
        let outcome = load::run(plan, &mut counting, interrupt)?;
        if outcome.interrupted || interrupt.is_raised() {
            return Ok(None);
        }
        if let Some(failure) = counting.failure {
            return Err(failure);
        }
        let calls = counting.counter.finish()?;
        ensure!(
            outcome.requests > 0,
            "no request was answered while system calls were counted"
        );
        Ok(Some(calls as f64 / outcome.requests as f64))
    }
}

/// Fails for a window without a correct answer; an idle hold has its answers before the window.
fn ensure_answers(outcome: &RunResult, kind: Kind) -> Result<()> {
    if kind == Kind::Idle || outcome.requests > 0 {
        return Ok(());
    }
    bail!("no request was answered in the window; errors: {}", outcome.errors)
}

/// The kernel's counters of server, load and cores at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    server: ProcessTime,
    server_runs: RunTime,
    load: RunTime,
    server_core: CoreTime,
    load_core: CoreTime,
}

impl Reading {
    fn take(subject: &Subject) -> Result<Self> {
        let Subject { pids, cores, .. } = subject;
        Ok(Self {
            at: Instant::now(),
            server: proc::sum(pids, ProcessTime::read)?,
            server_runs: proc::sum(pids, RunTime::read)?,
            load: RunTime::read(rustix::process::getpid())?,
            server_core: CoreTime::read(cores.server)?,
            load_core: CoreTime::read(cores.load)?,
        })
    }
}

/// Reads the counters when the window opens and when it closes; memory comes last, because reading it takes longest.
struct Window<'a> {
    subject: &'a Subject,
    opened: Option<Result<Reading>>,
    closed: Option<Result<(Reading, Memory, PeakMemory)>>,
    /// The proportional memory at the start and its maximum since; `None` unless watched.
    watched: Option<(u64, u64)>,
    watches_memory: bool,
}

impl<'a> Window<'a> {
    fn over(subject: &'a Subject, watches_memory: bool) -> Self {
        Self {
            subject,
            opened: None,
            closed: None,
            watched: None,
            watches_memory,
        }
    }

    /// Returns the largest growth of the server's memory since the window opened.
    fn growth_kib(&self) -> Option<u64> {
        self.watched.map(|(before, most)| most - before)
    }

    fn watch_memory(&mut self) {
        // A dead server is reported when the window closes.
        if let Ok(memory) = proc::sum(&self.subject.pids, Memory::read) {
            let now = memory.proportional_kib;
            let (before, most) = self.watched.unwrap_or((now, now));
            self.watched = Some((before, most.max(now)));
        }
    }

    fn close(&self) -> Result<(Reading, Memory, PeakMemory)> {
        let pids = &self.subject.pids;
        Ok((
            Reading::take(self.subject)?,
            proc::sum(pids, Memory::read)?,
            proc::sum(pids, PeakMemory::read)?,
        ))
    }

    fn usage(self) -> Result<Usage> {
        let opened = self.opened.context("the window never began")??;
        let closed = self.closed.context("the window never ended")?;
        let (closed, memory, peak) = closed.context("the server ended by itself")?;
        Ok(Usage::between(&opened, &closed, memory, peak))
    }
}

impl Progress for Window<'_> {
    fn phase(&mut self, phase: Phase) {
        match phase {
            Phase::Timing => {
                if self.watches_memory {
                    self.watch_memory();
                }
                self.opened = Some(Reading::take(self.subject));
            }
            Phase::Finishing => {
                self.closed = Some(self.close());
                if self.watches_memory {
                    self.watch_memory();
                }
            }
            Phase::Checking | Phase::Connecting | Phase::WarmingUp => {}
        }
    }

    fn tick(&mut self, snapshot: &Snapshot) {
        if self.watches_memory && snapshot.phase == Phase::Timing {
            self.watch_memory();
        }
    }
}

/// Enables the counter for the length of the window.
struct Counting {
    counter: Counter,
    failure: Option<anyhow::Error>,
}

impl Progress for Counting {
    fn phase(&mut self, phase: Phase) {
        let outcome = match phase {
            Phase::Timing => self.counter.enable(),
            Phase::Finishing => self.counter.disable(),
            Phase::Checking | Phase::Connecting | Phase::WarmingUp => Ok(()),
        };
        self.failure = self.failure.take().or_else(|| outcome.err());
    }

    fn tick(&mut self, _snapshot: &Snapshot) {}
}

/// The differences between two readings.
#[derive(Debug, Clone, Copy)]
struct Usage {
    elapsed: Duration,
    server: ProcessTime,
    server_runs: RunTime,
    /// At the end of the window.
    memory: Memory,
    /// Since before the first connection.
    peak: PeakMemory,
    load: Duration,
    server_core: CoreTime,
    load_core: CoreTime,
}

impl Usage {
    fn between(opened: &Reading, closed: &Reading, memory: Memory, peak: PeakMemory) -> Self {
        let server_runs = closed.server_runs.since(opened.server_runs);
        Self {
            elapsed: closed.at - opened.at,
            server: closed.server.since(opened.server).refined_by(server_runs.running),
            server_runs,
            memory,
            peak,
            load: closed.load.since(opened.load).running,
            server_core: closed.server_core.since(opened.server_core),
            load_core: closed.load_core.since(opened.load_core),
        }
    }

    /// Returns `time` as a share of the window.
    fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

fn sample(kind: Kind, outcome: &RunResult, empty: Memory, usage: &Usage) -> Sample {
    // Busy time of others = elapsed − idle − stolen − own: the kernel measures idle time exactly, but only samples busy
    // time.
    let others = |core: CoreTime, own: Duration| {
        let accounted = core.idle + core.stolen + own;
        usage.share(usage.elapsed.saturating_sub(accounted))
    };
    let sample = Sample {
        errors: outcome.errors.total(),
        load_busy: Some(usage.share(usage.load)),
        server_busy: Some(usage.share(usage.server.total())),
        noise: Some(Noise {
            others_on_server_core: others(usage.server_core, usage.server.total()),
            others_on_load_core: others(usage.load_core, usage.load),
            stolen: usage.share(usage.server_core.stolen.max(usage.load_core.stolen)),
        }),
        resident_kib: Some(usage.memory.resident_kib),
        ..Sample::default()
    };
    if kind == Kind::Idle {
        return Sample {
            requests: outcome.connections_opened,
            connections: Some(held_connections(outcome, empty, usage.memory)),
            idleness: Some(Idleness {
                watch_seconds: usage.elapsed.as_secs_f64(),
                cpu_us: usage.server_runs.running.as_secs_f64() * 1e6,
                wake_ups: usage.server_runs.runs,
            }),
            ..sample
        };
    }
    let peak_growth_kib = usage.peak.resident_kib.saturating_sub(empty.resident_kib);
    let per_request = |time: Duration| time.as_secs_f64() * 1e6 / outcome.requests.max(1) as f64;
    Sample {
        requests: outcome.requests,
        requests_per_second: outcome.requests_per_second,
        cpu_per_request: Some(CpuPerRequest {
            user_us: per_request(usage.server.user),
            system_us: per_request(usage.server.system),
        }),
        latency: outcome
            .latency
            .as_ref()
            .filter(|_| kind != Kind::Pipelined)
            .map(latency),
        fan_out: outcome.fan_out.as_ref().map(fan_out),
        slow_heads_cut: outcome.slow_heads.map(|heads| heads.cut),
        peak_growth_kib: (kind == Kind::Transfer).then_some(peak_growth_kib),
        received_bytes_each: Some(outcome.bytes_received as f64 / outcome.requests.max(1) as f64),
        hop: outcome.fan_out.as_ref().filter(|_| kind == Kind::Hop).and_then(hop),
        ..sample
    }
}

fn held_connections(outcome: &RunResult, empty: Memory, full: Memory) -> Connections {
    let held = outcome.connections_opened.max(1);
    let each = |amount: fn(&Memory) -> u64| {
        let grown = amount(&full).saturating_sub(amount(&empty));
        grown as f64 / held as f64
    };
    Connections {
        held: outcome.connections_opened,
        still_open: outcome.still_open.unwrap_or(0),
        empty_resident_kib: empty.resident_kib,
        proportional_kib_each: each(|memory| memory.proportional_kib),
        private_kib_each: each(|memory| memory.private_kib),
        resident_kib_each: each(|memory| memory.resident_kib),
    }
}

fn fan_out(deliveries: &Deliveries) -> FanOut {
    FanOut {
        subscribers: deliveries.subscribers,
        published: deliveries.published,
        delivered: (deliveries.subscribers * deliveries.published).saturating_sub(deliveries.lost),
        lost: deliveries.lost,
        disordered: deliveries.duplicated + deliveries.out_of_order,
    }
}

fn hop(deliveries: &Deliveries) -> Option<Hop> {
    let [near, far] = deliveries.by_core.as_slice() else {
        return None;
    };
    let (near, far) = (near.latency.as_ref()?, far.latency.as_ref()?);
    Some(Hop {
        near_p50_us: near.p50_us,
        far_p50_us: far.p50_us,
        near_p99_us: near.p99_us,
        far_p99_us: far.p99_us,
    })
}

/// Returns the cost and the message counts of stalled subscribers.
fn slow(outcome: &RunResult, growth_kib: Option<u64>) -> Option<Slow> {
    let deliveries = outcome.fan_out.as_ref()?;
    let stalled = deliveries.stalled?;
    Some(Slow {
        stalled: stalled.subscribers,
        memory_kib_each: growth_kib? as f64 / stalled.subscribers.max(1) as f64,
        quiet_p99_us: deliveries.quiet_latency.as_ref()?.p99_us,
        received: stalled.received,
        told: stalled.told,
        closed: stalled.closed,
        unaccounted: stalled.unaccounted,
        counted_by_server: stalled.counted_by_server,
    })
}

fn latency(summary: &LatencySummary) -> Latency {
    let curve = summary.curve.iter().map(|(percentile, us)| Point {
        percentile: *percentile,
        us: *us,
    });
    let with = |requests, us| (summary.count >= requests).then_some(us);
    Latency {
        p50_us: summary.p50_us,
        p90_us: summary.p90_us,
        p99_us: summary.p99_us,
        p999_us: with(REQUESTS_FOR_THREE_NINES, summary.p99_9_us),
        p9999_us: with(REQUESTS_FOR_FOUR_NINES, summary.p99_99_us),
        max_us: Some(summary.max_us),
        curve: curve.collect(),
    }
}

#[cfg(test)]
mod tests;
