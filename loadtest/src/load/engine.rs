//! The threads of a run, and the one that leads them through its phases.
//!
//! All workers open their connections first; only when the last one is ready do they hear when the load begins and when the window
//! opens and closes, so that every figure is about the same moments.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;

use super::clock::{Clock, Nanos, nanos};
use super::conversation::Conversation;
use super::desk::Desk;
use super::outcome::Outcome;
use super::pacing::{Pacing, Schedule};
use super::plan::Plan;
use super::progress::{Phase, Progress, Snapshot};
use super::tally::Tally;
use super::worker::{Post, Worker, pin};
use crate::interrupt::Interrupt;

/// How often workers look for what is late, and how soon an interrupt is noticed.
const TICK: Duration = Duration::from_millis(100);

/// How often the end of the workers is looked for.
const FINISHING_TICK: Duration = Duration::from_millis(5);

/// What the engine does with a plan, once its protocol is settled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) address: SocketAddr,
    /// Connections of all kinds, all threads together; at least as many as threads.
    pub(crate) connections: usize,
    pub(crate) pacing: Pacing,
}

/// When the load begins, and when it is timed.
#[derive(Debug, Clone)]
struct Timeline {
    start: Nanos,
    window: Range<Nanos>,
}

/// One worker, seen from outside.
struct Member<'scope> {
    post: &'scope Post,
    bell: &'scope OwnedFd,
    orders: Sender<Timeline>,
    thread: ScopedJoinHandle<'scope, Result<Option<Tally>>>,
}

/// Carries out `job` with conversations of type `C`; `shared` makes what those of one thread share, on that thread.
///
/// # Errors
///
/// Connections cannot be opened before the load begins, or the system refuses what an epoll loop needs.
pub(crate) fn run<C: Conversation>(
    job: Job<'_>,
    shared: impl Fn() -> C::Shared + Sync,
    progress: &mut dyn Progress,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let clock = Clock::start();
    let threads = job.plan.threads;
    let posts: Vec<Post> = (0..threads).map(|_| Post::new()).collect();
    let bells: Vec<OwnedFd> = (0..threads)
        .map(|_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))
        .collect::<Result<_, _>>()
        .context("cannot create an eventfd")?;
    progress.phase(Phase::Connecting);
    thread::scope(|scope| {
        let (announce, announced) = mpsc::channel();
        let crew: Vec<Member<'_>> = posts
            .iter()
            .zip(&bells)
            .enumerate()
            .map(|(number, (post, bell))| {
                let station = Station {
                    job,
                    number,
                    clock,
                    post,
                    bell,
                    announce: announce.clone(),
                };
                let shared = &shared;
                spawn(scope, station, |station, orders| station.work::<C>(shared(), &orders))
            })
            .collect::<Result<_>>()?;
        drop(announce);
        let leader = Leader {
            job,
            clock,
            crew,
            interrupt,
        };
        leader.lead(&announced, progress)
    })
}

/// What one worker is given.
struct Station<'run> {
    job: Job<'run>,
    number: usize,
    clock: Clock,
    post: &'run Post,
    bell: &'run OwnedFd,
    announce: Sender<()>,
}

fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    station: Station<'scope>,
    work: impl FnOnce(Station<'scope>, Receiver<Timeline>) -> Result<Option<Tally>> + Send + 'scope,
) -> Result<Member<'scope>> {
    let (post, bell) = (station.post, station.bell);
    let (orders, receiver) = mpsc::channel();
    let builder = thread::Builder::new().name(format!("load-{}", station.number));
    let thread = builder
        .spawn_scoped(scope, move || work(station, receiver))
        .context("cannot start a thread")?;
    Ok(Member {
        post,
        bell,
        orders,
        thread,
    })
}

impl Station<'_> {
    /// What a worker does from beginning to end; `None` if the run was called off before it began.
    fn work<C: Conversation>(self, shared: C::Shared, orders: &Receiver<Timeline>) -> Result<Option<Tally>> {
        let Self { job, number, .. } = self;
        let (plan, cores) = (job.plan, &job.plan.cores);
        if let Some(core) = number.checked_rem(cores.len()).and_then(|turn| cores.get(turn)) {
            pin(*core)?;
        }
        let indices = (number..job.connections).step_by(plan.threads);
        let desk = Desk::new(job.address, job.pacing, self.clock, shared)?;
        let mut worker = Worker::<C>::new(indices, desk, plan.timeout, self.bell, self.post)?;
        worker.set_up()?;
        // A leader that has gone listens to nobody, and gives no orders either.
        self.announce.send(()).ok();
        let Ok(Timeline { start, window }) = orders.recv() else {
            return Ok(None);
        };
        let schedule = match job.pacing {
            Pacing::Open(rate) => Schedule::of_thread(rate, number, start),
            Pacing::Closed | Pacing::Churn | Pacing::Hold => None,
        };
        worker.load(window, schedule).map(Some)
    }
}

/// The thread that started the run.
struct Leader<'run, 'scope> {
    job: Job<'run>,
    clock: Clock,
    crew: Vec<Member<'scope>>,
    interrupt: &'run Interrupt,
}

impl Leader<'_, '_> {
    fn lead(self, announced: &Receiver<()>, progress: &mut dyn Progress) -> Result<Outcome> {
        let plan = self.job.plan;
        if !self.wait_until_ready(announced) {
            return self.call_off();
        }
        let start = self.clock.now();
        let window = start + nanos(plan.warmup)..start + nanos(plan.warmup) + nanos(plan.duration);
        for member in &self.crew {
            let timeline = Timeline {
                start,
                window: window.clone(),
            };
            // One that has failed since is noticed when it is joined.
            member.orders.send(timeline).ok();
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
        if end < window.end {
            self.crew
                .iter()
                .for_each(|member| member.post.end.store(end, Ordering::Relaxed));
        }
        progress.phase(Phase::Finishing);
        let elapsed = Duration::from_nanos(end.saturating_sub(window.start)).as_secs_f64();
        let (is_hold, is_interrupted) = (self.job.pacing == Pacing::Hold, end < window.end);
        let tally = self.gather()?;
        let still_open = is_hold.then_some(tally.still_open);
        Ok(Outcome {
            still_open,
            ..tally.into_outcome(elapsed, is_interrupted)
        })
    }

    /// Waits for all workers to have opened their connections. Returns whether the run can go on.
    fn wait_until_ready(&self, announced: &Receiver<()>) -> bool {
        let mut ready = 0;
        while ready < self.crew.len() {
            match announced.recv_timeout(TICK) {
                Ok(()) => ready += 1,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            self.ring();
            // A thread that has ended by now has failed.
            if self.interrupt.is_raised() || self.crew.iter().any(|member| member.thread.is_finished()) {
                return false;
            }
        }
        true
    }

    /// Ends a run that never began, with the reason of a worker that failed.
    fn call_off(self) -> Result<Outcome> {
        self.crew
            .iter()
            .for_each(|member| member.post.end.store(0, Ordering::Relaxed));
        self.ring();
        for member in self.crew {
            drop(member.orders);
            join(member.thread)?;
        }
        bail!("interrupted before the load began")
    }

    /// Sees the crew through one phase. Returns whether it lasted to its end.
    fn watch(&self, phase: Phase, span: Range<Nanos>, progress: &mut dyn Progress) -> bool {
        progress.phase(phase);
        let (mut last_report, mut last_answers) = (span.start, self.sum(|post| post.answers.load(Ordering::Relaxed)));
        loop {
            let now = self.clock.now();
            if now >= span.end {
                self.ring();
                return true;
            }
            if self.interrupt.is_raised() {
                return false;
            }
            if now - last_report >= 1_000_000_000 {
                let answers = self.sum(|post| post.answers.load(Ordering::Relaxed));
                progress.tick(&Snapshot {
                    phase,
                    elapsed: Duration::from_nanos(now - span.start),
                    length: Duration::from_nanos(span.end - span.start),
                    answers,
                    answers_per_second: (answers - last_answers) as f64 * 1e9 / (now - last_report) as f64,
                    errors: self.sum(|post| post.errors.load(Ordering::Relaxed)),
                    connections: self.sum(|post| post.connections.load(Ordering::Relaxed)),
                });
                (last_report, last_answers) = (now, answers);
            }
            thread::sleep(TICK.min(Duration::from_nanos(span.end - now)));
            self.ring();
        }
    }

    /// Waits for the workers, and adds up what they counted.
    fn gather(self) -> Result<Tally> {
        while self.crew.iter().any(|member| !member.thread.is_finished()) {
            self.ring();
            if self.interrupt.is_raised() {
                // The window is over; only the waiting ends.
                let now = self.clock.now();
                for member in &self.crew {
                    member.post.end.fetch_min(now, Ordering::Relaxed);
                }
            }
            thread::sleep(FINISHING_TICK);
        }
        let mut sum = Tally::new();
        for member in self.crew {
            sum.add(&join(member.thread)?.context("a thread missed the start")?);
        }
        Ok(sum)
    }

    fn ring(&self) {
        for member in &self.crew {
            // A counter that is full has been rung before.
            rustix::io::write(member.bell, &1_u64.to_ne_bytes()).ok();
        }
    }

    fn sum(&self, figure: impl Fn(&Post) -> u64) -> u64 {
        self.crew.iter().map(|member| figure(member.post)).sum()
    }
}

fn join(thread: ScopedJoinHandle<'_, Result<Option<Tally>>>) -> Result<Option<Tally>> {
    thread
        .join()
        .map_err(|_| anyhow!("a thread of the load generator panicked"))?
}
