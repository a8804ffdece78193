//! Fan-out: what one connection publishes, all subscribers receive; the latency is that of each delivery.
//!
//! Everybody subscribes, and has received a greeting, before the load begins: whatever is missing later was lost by the server.
//! Subscribers are opened one after the other by blocking calls; then each thread (`audience`) hears its share of them, and one of
//! them has the publisher. Every message has a number and the time it was due; every subscriber checks the numbers (`continuity`).

use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};

mod audience;
mod continuity;
mod publisher;
mod standing;
mod subscriber;

use super::message::MessageReader;
use super::payload::Payloads;
use super::socket::{Socket, Terms, first_address};
use crate::descriptors;
use crate::interrupt::Interrupt;
use crate::load::clock::{Clock, Nanos, nanos};
use crate::load::latency::Latencies;
use crate::load::outcome::{Deliveries, Outcome};
use crate::load::plan::{FanOut, Plan, STAMP_BYTES};
use crate::load::progress::{Phase, Progress, Snapshot};
use crate::load::tally::Tally;
use crate::load::target::Target;
use audience::{Audience, Report};
use publisher::{Publisher, message_stamp};
use standing::Standing;
use subscriber::{Faults, Hearing, Subscriber};

/// Bytes of one recv(2): a burst for a subscriber, whole.
const READ_BYTES: usize = 64 * 1024;

/// After this long without a greeting it is published again, for servers that subscribe after they have shaken hands.
const GREETING_INTERVAL: Duration = Duration::from_millis(250);

/// How often an interrupt, and the end of the threads, is looked for.
const TICK: Duration = Duration::from_millis(20);

/// What the threads have before the load begins, to register their subscribers.
const HEAD_START: Duration = Duration::from_millis(50);

/// Opens all connections, checks that everybody hears the publisher, publishes, and waits for the last delivery.
///
/// # Errors
///
/// A connection cannot be opened, or a subscriber hears nothing, before the load begins. What goes wrong later is counted.
pub(crate) fn run(
    plan: &Plan,
    fan_out: &FanOut,
    progress: &mut dyn Progress,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let sockets = plan.connections + fan_out.stalled + 1;
    descriptors::check_room(u32::try_from(sockets).context("too many connections")?)?;
    progress.phase(Phase::Checking);
    let mut opening = Opening::begin(plan, fan_out, interrupt)?;
    opening.greet()?;
    progress.phase(Phase::Connecting);
    opening.open_all()?;
    opening.greet()?;
    let cast = Cast::from(opening)?;
    Performance::new(plan, fan_out, interrupt).give(cast, progress)
}

/// The connections, while there is no load.
struct Opening<'run> {
    plan: &'run Plan,
    fan_out: &'run FanOut,
    interrupt: &'run Interrupt,
    address: SocketAddr,
    publisher: Socket,
    subscribers: Vec<Socket>,
    /// Subscribers that never read.
    stalled: Vec<Socket>,
    payloads: Payloads,
}

impl<'run> Opening<'run> {
    /// Opens the publisher and the first subscriber.
    fn begin(plan: &'run Plan, fan_out: &'run FanOut, interrupt: &'run Interrupt) -> Result<Self> {
        let address = first_address(&plan.target, plan.timeout)?;
        let publish_address = first_address(&fan_out.publish, plan.timeout)?;
        let publisher = open(0, publish_address, &fan_out.publish, plan, fan_out)?;
        let mut opening = Self {
            plan,
            fan_out,
            interrupt,
            address,
            publisher,
            subscribers: Vec::with_capacity(plan.connections),
            stalled: Vec::with_capacity(fan_out.stalled),
            payloads: Payloads::new(fan_out.message_bytes),
        };
        let first = opening.subscribe()?;
        opening.subscribers.push(first);
        Ok(opening)
    }

    fn open_all(&mut self) -> Result<()> {
        while self.subscribers.len() < self.plan.connections {
            let next = self.subscribe()?;
            self.subscribers.push(next);
        }
        while self.stalled.len() < self.fan_out.stalled {
            let next = self.subscribe()?;
            self.stalled.push(next);
        }
        Ok(())
    }

    fn subscribe(&self) -> Result<Socket> {
        self.interrupt.check()?;
        let before = self.subscribers.len() + self.stalled.len();
        let subscribed = open(before + 1, self.address, &self.plan.target, self.plan, self.fan_out);
        subscribed.with_context(|| format!("cannot open a subscriber beside {before} others"))
    }

    /// Publishes a greeting until every subscriber has received one.
    fn greet(&mut self) -> Result<()> {
        let mut frame = Vec::new();
        self.payloads.write(&message_stamp(0, 0), &mut frame);
        self.publisher.send(&frame, self.plan.timeout)?;
        let deadline = Instant::now() + self.plan.timeout;
        let total = self.subscribers.len();
        for (index, subscriber) in self.subscribers.iter_mut().enumerate() {
            let greeting = loop {
                self.interrupt.check()?;
                let received = subscriber.receive(GREETING_INTERVAL.min(self.plan.timeout));
                match received.with_context(|| format!("subscriber {} of {total}", index + 1))? {
                    Some(greeting) => break greeting,
                    None if Instant::now() < deadline => self.publisher.send(&frame, self.plan.timeout)?,
                    None => bail!(
                        "what is published at {} does not reach subscriber {} of {total} at {} within {:?}",
                        self.fan_out.publish,
                        index + 1,
                        self.plan.target,
                        self.plan.timeout
                    ),
                }
            };
            let is_greeting = self.payloads.stamp(&greeting, STAMP_BYTES) == Some(message_stamp(0, 0).as_slice());
            ensure!(
                is_greeting,
                "a subscriber at {} received a message of {} bytes that was not published by this run, or was changed",
                self.plan.target,
                greeting.len()
            );
        }
        Ok(())
    }
}

fn open(index: usize, address: SocketAddr, target: &Target, plan: &Plan, fan_out: &FanOut) -> Result<Socket> {
    let terms = Terms {
        headers: &plan.request.headers,
        message_bytes_max: fan_out.message_bytes,
        timeout: plan.timeout,
    };
    Socket::open(index, address, target, &terms).with_context(|| target.to_string())
}

/// The same connections, ready to be loaded.
struct Cast {
    publisher: (TcpStream, MessageReader),
    /// The subscribers of each thread.
    shares: Vec<Vec<Subscriber>>,
    #[expect(dead_code, reason = "held open until the run has ended")]
    stalled: Vec<Socket>,
}

impl Cast {
    fn from(opening: Opening<'_>) -> Result<Self> {
        let threads = opening.plan.threads;
        let mut shares: Vec<Vec<Subscriber>> = (0..threads).map(|_| Vec::new()).collect();
        for (index, socket) in opening.subscribers.into_iter().enumerate() {
            let (stream, reader) = socket.into_parts()?;
            if let Some(share) = shares.get_mut(index % threads) {
                share.push(Subscriber::new(stream, reader));
            }
        }
        Ok(Self {
            publisher: opening.publisher.into_parts()?,
            shares,
            stalled: opening.stalled,
        })
    }
}

/// The load itself.
struct Performance<'run> {
    plan: &'run Plan,
    fan_out: &'run FanOut,
    interrupt: &'run Interrupt,
    clock: Clock,
    start: Nanos,
    window: Range<Nanos>,
    standing: Standing,
}

impl<'run> Performance<'run> {
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
            standing: Standing::new(plan.connections as u64),
        }
    }

    fn give(&self, cast: Cast, progress: &mut dyn Progress) -> Result<Outcome> {
        let publisher = Publisher::new(cast.publisher, self.fan_out, self.start, self.window.clone());
        let mut publisher = Some(publisher);
        let reports = thread::scope(|scope| {
            let threads: Vec<ScopedJoinHandle<'_, Result<Report<'_>>>> = cast
                .shares
                .into_iter()
                .enumerate()
                .map(|(number, share)| {
                    // The first thread takes it.
                    let publisher = publisher.take();
                    let name = format!("fan-out-{number}");
                    let attend = move || self.attend(number, share, publisher);
                    thread::Builder::new().name(name).spawn_scoped(scope, attend)
                })
                .collect::<Result<_, _>>()
                .context("cannot start a thread")?;
            self.watch(&threads, progress);
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow!("a thread of the fan-out panicked"))?)
                .collect::<Result<Vec<Report<'_>>>>()
        })?;
        Ok(self.outcome(reports))
    }

    fn attend(&self, number: usize, share: Vec<Subscriber>, publisher: Option<Publisher>) -> Result<Report<'_>> {
        let turn = number.checked_rem(self.plan.cores.len());
        if let Some(core) = turn.and_then(|turn| self.plan.cores.get(turn)) {
            let mut set = CpuSet::new();
            set.set(*core);
            sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}"))?;
        }
        let hearing = Hearing {
            clock: self.clock,
            standing: &self.standing,
            payloads: Payloads::new(self.fan_out.message_bytes),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            tally: Tally {
                window: self.window.clone(),
                ..Tally::new()
            },
            faults: Faults::default(),
            delivered: 0,
        };
        let attended = Audience::new(share, publisher, hearing, nanos(self.plan.timeout)).and_then(Audience::attend);
        if attended.is_err() {
            self.standing.finish(self.clock.now());
        }
        attended
    }

    /// Tells how the run goes until all threads have ended, and passes an interrupt on.
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
                let answers = self.standing.delivered();
                progress.tick(&Snapshot {
                    phase: current,
                    elapsed: Duration::from_nanos(now.saturating_sub(span.start)),
                    length: Duration::from_nanos(span.end - span.start),
                    answers,
                    answers_per_second: (answers - reported) as f64 * 1e9 / (now - reported_at) as f64,
                    errors: self.standing.failed(),
                    connections: self.standing.live(),
                });
                (reported_at, reported) = (now, answers);
            }
            if self.interrupt.is_raised() {
                self.standing.stop();
            }
            thread::sleep(TICK.min(Duration::from_nanos(span.end.saturating_sub(now))));
        }
    }

    /// The phase at `now`, and its span.
    fn phase_at(&self, now: Nanos) -> (Phase, Range<Nanos>) {
        if self.standing.finished_at().is_some() || now >= self.window.end {
            (Phase::Finishing, now..Nanos::MAX)
        } else if now >= self.window.start {
            (Phase::Timing, self.window.clone())
        } else {
            (Phase::WarmingUp, self.start..self.window.start)
        }
    }

    fn outcome(&self, reports: Vec<Report<'_>>) -> Outcome {
        let mut tally = Tally::new();
        let mut faults = Faults::default();
        let mut lag = Latencies::new();
        for report in &reports {
            tally.add(&report.hearing.tally);
            faults += report.hearing.faults;
            if let Some(publisher) = &report.publisher {
                lag.add(&publisher.lag);
            }
        }
        let end = self
            .standing
            .finished_at()
            .unwrap_or(self.window.end)
            .min(self.window.end);
        let elapsed = Duration::from_nanos(end.saturating_sub(self.window.start)).as_secs_f64();
        let connections = self.plan.connections + self.fan_out.stalled + 1;
        tally.connections_opened = connections as u64;
        Outcome {
            fan_out: Some(Deliveries {
                subscribers: self.plan.connections as u64,
                stalled: self.fan_out.stalled as u64,
                published: self.standing.published(),
                lost: faults.lost,
                duplicated: faults.duplicated,
                out_of_order: faults.out_of_order,
                publisher_lag: self.fan_out.rate.and_then(|_| lag.summarize()),
            }),
            ..tally.into_outcome(elapsed, self.standing.is_stopped())
        }
    }
}
