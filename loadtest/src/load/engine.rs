//! The engine: the worker threads of a run, and the coordinator that takes them through its phases.
//!
//! The coordinator sends the timeline after the last worker has opened its connections, so all figures cover the same
//! window.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;

use super::allowance::Allowance;
use super::clock::{Clock, Nanos, nanos};
use super::counts::Counts;
use super::pacing::{Pacing, Schedule};
use super::plan::Plan;
use super::progress::{Phase, Progress, Snapshot};
use super::run_result::RunResult;
use super::script::Script;
use super::thread_state::ThreadState;
use super::worker::{Worker, WorkerStatus};
use crate::interrupt::Interrupt;
use crate::proc::pin;

/// How often the coordinator wakes the workers to check timeouts, and how soon it notices an interrupt.
const TICK: Duration = Duration::from_millis(100);

/// How often the coordinator checks whether the workers have ended.
const FINISHING_TICK: Duration = Duration::from_millis(5);

/// A plan with its address and pacing, ready to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) address: SocketAddr,
    /// Connections over all threads; at least one per thread.
    pub(crate) connections: usize,
    pub(crate) pacing: Pacing,
}

/// When the load starts, and the timed window.
#[derive(Debug, Clone)]
struct Timeline {
    start: Nanos,
    window: Range<Nanos>,
}

/// The coordinator's handle of one worker.
struct WorkerHandle<'scope> {
    status: &'scope WorkerStatus,
    wake: &'scope OwnedFd,
    timeline: Sender<Timeline>,
    thread: ScopedJoinHandle<'scope, Result<Option<Counts>>>,
}

/// Runs `job` with scripts of type `C`; `shared` makes the shared state of one thread's scripts, on that thread.
///
/// # Errors
///
/// A connection fails before the load begins, or a system call for threads or epoll fails.
pub(crate) fn run<C: Script>(
    job: Job<'_>,
    shared: impl Fn() -> C::Shared + Sync,
    progress: &mut dyn Progress,
    interrupt: &Interrupt,
) -> Result<RunResult> {
    let clock = Clock::start();
    let threads = job.plan.threads;
    let statuses: Vec<WorkerStatus> = (0..threads).map(|_| WorkerStatus::new()).collect();
    let wakes: Vec<OwnedFd> = (0..threads)
        .map(|_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))
        .collect::<Result<_, _>>()
        .context("could not create an eventfd")?;
    progress.phase(Phase::Connecting);
    thread::scope(|scope| {
        let (ready_sender, ready) = mpsc::channel();
        let workers: Vec<WorkerHandle<'_>> = statuses
            .iter()
            .zip(&wakes)
            .enumerate()
            .map(|(number, (status, wake))| {
                let setup = WorkerSetup {
                    job,
                    number,
                    clock,
                    status,
                    wake,
                    ready: ready_sender.clone(),
                };
                let shared = &shared;
                spawn(scope, setup, |setup, timeline| setup.work::<C>(shared(), &timeline))
            })
            .collect::<Result<_>>()?;
        drop(ready_sender);
        let coordinator = Coordinator {
            job,
            clock,
            workers,
            interrupt,
        };
        coordinator.coordinate(&ready, progress)
    })
}

/// What one worker starts with.
struct WorkerSetup<'run> {
    job: Job<'run>,
    number: usize,
    clock: Clock,
    status: &'run WorkerStatus,
    wake: &'run OwnedFd,
    ready: Sender<()>,
}

fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    setup: WorkerSetup<'scope>,
    work: impl FnOnce(WorkerSetup<'scope>, Receiver<Timeline>) -> Result<Option<Counts>> + Send + 'scope,
) -> Result<WorkerHandle<'scope>> {
    let (status, wake) = (setup.status, setup.wake);
    let (timeline, receiver) = mpsc::channel();
    let builder = thread::Builder::new().name(format!("load-{}", setup.number));
    let thread = builder
        .spawn_scoped(scope, move || work(setup, receiver))
        .context("could not start a thread")?;
    Ok(WorkerHandle {
        status,
        wake,
        timeline,
        thread,
    })
}

impl WorkerSetup<'_> {
    /// Runs a worker from start to end; returns `None` if the run was aborted before the load began.
    fn work<C: Script>(self, shared: C::Shared, timeline: &Receiver<Timeline>) -> Result<Option<Counts>> {
        let Self { job, number, .. } = self;
        let (plan, cores) = (job.plan, &job.plan.cores);
        if let Some(core) = number.checked_rem(cores.len()).and_then(|turn| cores.get(turn)) {
            pin(*core)?;
        }
        let indices = (number..job.connections).step_by(plan.threads);
        let thread = ThreadState::new(job.address, plan.target.is_secure, job.pacing, self.clock, shared)?;
        let mut worker = Worker::<C>::new(indices, thread, plan.timeout, self.wake, self.status)?;
        worker.set_up()?;
        // If the coordinator has aborted, this send fails and so does the `recv` below.
        self.ready.send(()).ok();
        let Ok(Timeline { start, window }) = timeline.recv() else {
            return Ok(None);
        };
        let schedule = match job.pacing {
            Pacing::Open(rate) => Schedule::of_thread(rate, number, start),
            Pacing::Closed | Pacing::Churn | Pacing::Hold => None,
        };
        let share = |requests| Allowance::share(requests, number, plan.threads);
        worker.load(window, schedule, plan.requests.map(share)).map(Some)
    }
}

/// The thread that started the run, which moves the workers through its phases.
struct Coordinator<'run, 'scope> {
    job: Job<'run>,
    clock: Clock,
    workers: Vec<WorkerHandle<'scope>>,
    interrupt: &'run Interrupt,
}

impl Coordinator<'_, '_> {
    fn coordinate(self, ready: &Receiver<()>, progress: &mut dyn Progress) -> Result<RunResult> {
        let plan = self.job.plan;
        if !self.wait_until_ready(ready) {
            return self.abort();
        }
        // All workers are ready. The same timeline for all of them makes their windows coincide.
        let start = self.clock.now();
        let window = start + nanos(plan.warmup)..start + nanos(plan.warmup) + nanos(plan.duration);
        for worker in &self.workers {
            let timeline = Timeline {
                start,
                window: window.clone(),
            };
            // A worker that failed meanwhile is noticed when it is joined.
            worker.timeline.send(timeline).ok();
        }
        let mut end = window.end;
        for (phase, from, until) in [
            (Phase::WarmingUp, start, window.start),
            (Phase::Timing, window.start, window.end),
        ] {
            if until > from && end == window.end && !self.watch(phase, from..until, progress) {
                end = self.clock.now();
            }
        }
        // Only an interrupt ends the window early; the workers read the new end when they are woken next.
        if end < window.end {
            self.workers
                .iter()
                .for_each(|worker| worker.status.end.store(end, Ordering::Relaxed));
        }
        progress.phase(Phase::Finishing);
        let (is_hold, is_interrupted) = (self.job.pacing == Pacing::Hold, end < window.end);
        let (counts, end) = self.gather()?;
        let elapsed = Duration::from_nanos(end.saturating_sub(window.start)).as_secs_f64();
        let still_open = is_hold.then_some(counts.still_open);
        Ok(RunResult {
            still_open,
            ..counts.into_result(elapsed, is_interrupted)
        })
    }

    /// Waits until all workers have opened their connections; returns false if one failed or the user interrupted.
    fn wait_until_ready(&self, ready: &Receiver<()>) -> bool {
        let mut ready_count = 0;
        while ready_count < self.workers.len() {
            match ready.recv_timeout(TICK) {
                Ok(()) => ready_count += 1,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            self.wake_all();
            // A worker ends this early only by failing.
            if self.interrupt.is_raised() || self.workers.iter().any(|worker| worker.thread.is_finished()) {
                return false;
            }
        }
        true
    }

    /// Ends a run before its load, with the error of the worker that failed.
    fn abort(self) -> Result<RunResult> {
        self.workers
            .iter()
            .for_each(|worker| worker.status.end.store(0, Ordering::Relaxed));
        self.wake_all();
        for worker in self.workers {
            drop(worker.timeline);
            join(worker.thread)?;
        }
        bail!("interrupted before the load began")
    }

    /// Reports progress through one phase, until its end or that of all workers; returns false if the user interrupted
    /// it.
    fn watch(&self, phase: Phase, span: Range<Nanos>, progress: &mut dyn Progress) -> bool {
        progress.phase(phase);
        let (mut last_report, mut last_answers) =
            (span.start, self.sum(|status| status.answers.load(Ordering::Relaxed)));
        loop {
            let now = self.clock.now();
            if now >= span.end || self.workers.iter().all(|worker| worker.thread.is_finished()) {
                self.wake_all();
                return true;
            }
            if self.interrupt.is_raised() {
                return false;
            }
            if now - last_report >= 1_000_000_000 {
                let answers = self.sum(|status| status.answers.load(Ordering::Relaxed));
                progress.tick(&Snapshot {
                    phase,
                    elapsed: Duration::from_nanos(now - span.start),
                    length: Duration::from_nanos(span.end - span.start),
                    answers,
                    answers_per_second: (answers - last_answers) as f64 * 1e9 / (now - last_report) as f64,
                    errors: self.sum(|status| status.errors.load(Ordering::Relaxed)),
                    connections: self.sum(|status| status.connections.load(Ordering::Relaxed)),
                });
                (last_report, last_answers) = (now, answers);
            }
            thread::sleep(TICK.min(Duration::from_nanos(span.end - now)));
            self.wake_all();
        }
    }

    /// Waits for the workers; returns the sum of their counts, and when the last of their windows ended.
    fn gather(self) -> Result<(Counts, Nanos)> {
        while self.workers.iter().any(|worker| !worker.thread.is_finished()) {
            self.wake_all();
            if self.interrupt.is_raised() {
                // The window is over, so this only cuts the wait for late answers.
                let now = self.clock.now();
                for worker in &self.workers {
                    worker.status.end.fetch_min(now, Ordering::Relaxed);
                }
            }
            thread::sleep(FINISHING_TICK);
        }
        let (mut sum, mut end) = (Counts::new(), 0);
        for worker in self.workers {
            let counts = join(worker.thread)?.context("a thread missed the start")?;
            end = end.max(counts.window.end);
            sum.add(&counts);
        }
        Ok((sum, end))
    }

    fn wake_all(&self) {
        for worker in &self.workers {
            // EAGAIN means the counter is full, so the worker is being woken already.
            rustix::io::write(worker.wake, &1_u64.to_ne_bytes()).ok();
        }
    }

    fn sum(&self, figure: impl Fn(&WorkerStatus) -> u64) -> u64 {
        self.workers.iter().map(|worker| figure(worker.status)).sum()
    }
}

fn join(thread: ScopedJoinHandle<'_, Result<Option<Counts>>>) -> Result<Option<Counts>> {
    thread
        .join()
        .map_err(|_| anyhow!("a thread of the load generator panicked"))?
}
