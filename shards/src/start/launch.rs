//! Starts the shards of a checked [`Builder`](crate::Builder), runs them and joins their threads.
//!
//! All shards start or none does: each sets up its executor and ring, reports, and waits for the start. A shard that
//! panics outside its tasks ends the process at once, because its listener would keep collecting connections without
//! answering them. A shard whose main function returns an error stops the others, and `run` returns that error.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::placement::Placement;
use super::pools::Pools;
use super::preflight::{Needs, PreflightError, explain_ring_refusal};
use super::reload::{Reload, Reloader, Reloads};
use super::select_driver::SelectedDriver;
use super::shard_exits::{ExitEvent, await_exits};
use super::signal::{Stop, StopSignals};
use crate::balance::watchdog::{Place, Watchdog};
use crate::driver::epoll::{Epoll, EpollConfig};
use crate::driver::io_uring::{Ring, RingConfig};
use crate::driver::{Driver, Reactor};
use crate::error::{BoxError, LaunchError};
use crate::message::inbox::Inbox;
use crate::message::invoke::Remote;
use crate::message::links::Invocation;
use crate::message::mesh::{Mesh, QUEUE_MESSAGES_DEFAULT};
use crate::os::stderr::StandardError;
use crate::panics::contain;
use crate::shard::context::ShardContext;
use crate::shard::core::Core;
use crate::shard::executor::Executor;
use crate::shard::id::ShardId;
use crate::shard::shard::Shard;
use crate::shard::turn::drive;
use crate::task::blocking::{BlockingLimits, BlockingPool};
use crate::task::{TaskPanicked, caught, spawn_from};

/// How long `run` waits at its end for blocking work still running.
const BLOCKING_PATIENCE: Duration = Duration::from_secs(1);

/// The exit code after a shard has panicked; the same as Rust's own for a panic.
const SHARD_PANIC_EXIT_CODE: i32 = 101;

/// How the process runs its shards.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunConfig {
    pub(crate) stop_on_signals: bool,
    pub(crate) graceful_stop_max: Option<Duration>,
    pub(crate) balances: bool,
}

/// A set of shards ready to run; create meshes and bind listeners before [`run`](Self::run) consumes it.
#[derive(Debug)]
#[must_use = "shards start only when `run` is called"]
pub struct Shards {
    inboxes: Arc<[Arc<Inbox>]>,
    placement: Placement,
    selected: SelectedDriver,
    ring: RingConfig,
    thread_name: String,
    run_config: RunConfig,
    exits: (Sender<ExitEvent>, Receiver<ExitEvent>),
    pools: Pools,
    invocations: Mesh<Invocation>,
    reloads: Reloads,
}

impl Shards {
    pub(crate) fn new(
        inboxes: Arc<[Arc<Inbox>]>,
        placement: Placement,
        driver: (SelectedDriver, RingConfig),
        thread_name: String,
        run_config: (RunConfig, BlockingLimits),
    ) -> Self {
        let (selected, ring) = driver;
        let (run_config, limits) = run_config;
        let pools = Pools::new(limits, &placement);
        let invocations = Mesh::new(&inboxes, QUEUE_MESSAGES_DEFAULT);
        Self {
            inboxes,
            placement,
            selected,
            ring,
            thread_name,
            run_config,
            exits: channel(),
            pools,
            invocations,
            reloads: Reloads::new(),
        }
    }

    /// Registers a part that SIGHUP and a [`Reloader`] reload.
    ///
    /// SIGHUP does so if [`stop_on_signals`](crate::Builder::stop_on_signals) is set. Without a part it ends the process.
    pub fn reload(&mut self, part: impl Reload + 'static) {
        self.reloads.register(Box::new(part));
    }

    /// Returns a handle that reloads the registered parts from any thread.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloads.reloader()
    }

    /// Returns the number of shards.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inboxes.len()
    }

    /// Returns the selected driver, never [`Driver::Auto`].
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.selected.driver()
    }

    /// Returns why [`Driver::Auto`] fell back to epoll, with the remedy.
    ///
    /// `None` if io_uring was selected, or a driver was named. Show it to the operator.
    #[must_use]
    pub fn io_uring_refusal(&self) -> Option<&PreflightError> {
        match &self.selected {
            SelectedDriver::Epoll(refusal) => refusal.as_ref(),
            SelectedDriver::IoUring => None,
        }
    }

    /// Returns the CPU of each shard, in shard order.
    #[must_use]
    pub fn cpus(&self) -> &[usize] {
        &self.placement.shards
    }

    /// Creates queues between all shards for messages of one type, each with room for `queue_messages_max` messages.
    #[must_use]
    pub fn mesh<M: Send + 'static>(&self, queue_messages_max: usize) -> Mesh<M> {
        Mesh::new(&self.inboxes, queue_messages_max)
    }

    /// Returns a handle that stops the shards from any thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper {
            inboxes: Arc::clone(&self.inboxes),
            exits: self.exits.0.clone(),
        }
    }

    /// Returns a handle that runs closures on shards from any thread.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote::new(self.invocations.sender())
    }

    /// Returns the pool for blocking work.
    #[must_use]
    pub fn blocking_pool(&self) -> BlockingPool {
        self.pools.blocking.clone()
    }

    /// Starts every shard, runs `main` on each, and returns when all have ended; the calling thread only waits.
    ///
    /// A panic in a task is caught and ends that task. A panic in `main` is an error of its shard.
    ///
    /// # Errors
    ///
    /// A shard could not be set up; then no `main` has run. Or a `main` returned an error, of which the first is
    /// returned. Or a shard did not stop in time. The thread of an overdue shard is abandoned and ends with the
    /// process.
    #[track_caller]
    pub fn run<M, F>(mut self, main: M) -> Result<(), LaunchError>
    where
        M: Fn(Shard) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), BoxError>> + 'static,
    {
        let place = Location::caller();
        let signals = self.signals()?;
        let reloads = std::mem::replace(&mut self.reloads, Reloads::new());
        reloads
            .start()
            .map_err(|error| LaunchError::Settings(format!("could not start the thread of reloads: {error}")))?;
        let main = Arc::new(main);
        let (reports, reported) = channel();
        let mut threads = Vec::with_capacity(self.count());
        let mut start_senders = Vec::with_capacity(self.count());
        let watchdog = Watchdog::new(self.count(), self.run_config.balances);
        for (inbox, &cpu) in self.inboxes.iter().zip(&self.placement.shards) {
            let (start_sender, start) = channel();
            start_senders.push(start_sender);
            let main = Arc::clone(&main);
            let shard_spawn = ShardSpawn {
                inbox: Arc::clone(inbox),
                count: self.count(),
                cpu,
                driver: self.driver(),
                ring: self.ring.clone(),
                name: format!("{}-{}", self.thread_name, inbox.shard().index()),
                invocations: self.invocations.clone(),
                pools: self.pools.clone(),
                watchdog: Arc::clone(&watchdog),
                stopper: self.stopper(),
                reports: reports.clone(),
                start,
                place,
            };
            threads.push(shard_spawn.spawn(move |shard| main(shard))?);
        }
        drop(reports);
        // Started from this unpinned thread, so that the watchdog may run on any core.
        let watching = watchdog.start();
        let started = await_reports(&reported, threads.len());
        for start_sender in start_senders {
            // A thread that failed has already dropped its receiver.
            start_sender.send(started.is_ok()).unwrap_or_default();
        }
        let ended = self.await_ends(threads, &watchdog);
        drop(watching);
        // Only after the last shard: until then a second signal must still stop them.
        drop(signals);
        let unfinished = self.pools.shutdown(BLOCKING_PATIENCE);
        if unfinished > 0 {
            tracing::warn!(unfinished, "abandoned blocking work that is still running");
        }
        started?;
        ended
    }

    fn await_ends(&self, threads: Vec<ShardThread>, watchdog: &Watchdog) -> Result<(), LaunchError> {
        let stop = || self.inboxes.first().and_then(|inbox| inbox.stop());
        let graceful_stop_max = self.run_config.graceful_stop_max;
        if let Err(shard) = await_exits(&self.exits.1, threads.len(), stop, graceful_stop_max) {
            let work = watchdog.heartbeat(shard).work();
            return Err(LaunchError::Overdue { shard, work });
        }
        let ended: Result<Vec<()>, _> = threads.into_iter().map(ShardThread::join).collect();
        ended.map(drop)
    }

    fn signals(&self) -> Result<Option<StopSignals>, LaunchError> {
        if !self.run_config.stop_on_signals {
            return Ok(None);
        }
        let stopper = self.stopper();
        let reloader = (!self.reloads.are_empty()).then(|| self.reloads.reloader());
        let on_hangup = reloader.map(|reloader| move || reloader.request());
        StopSignals::listen(move |stop| stopper.stop(stop), on_hangup)
            .map(Some)
            .map_err(|error| LaunchError::Settings(format!("could not handle SIGTERM and SIGINT: {error}")))
    }
}

/// Waits until every shard has reported its set-up.
fn await_reports(reported: &Receiver<Result<(), LaunchError>>, shards: usize) -> Result<(), LaunchError> {
    for _ in 0..shards {
        // A channel that ends early belongs to a thread that panicked in its set-up, which ends the process.
        reported.recv().unwrap_or(Ok(()))?;
    }
    Ok(())
}

/// Everything needed to spawn a shard's thread.
struct ShardSpawn {
    inbox: Arc<Inbox>,
    count: usize,
    cpu: usize,
    driver: Driver,
    ring: RingConfig,
    name: String,
    invocations: Mesh<Invocation>,
    pools: Pools,
    watchdog: Arc<Watchdog>,
    stopper: Stopper,
    reports: Sender<Result<(), LaunchError>>,
    start: Receiver<bool>,
    /// Where `main` was given to [`Shards::run`], for the reports of blocking code.
    place: Place,
}

/// A running shard's thread.
struct ShardThread {
    shard: ShardId,
    thread: thread::JoinHandle<Result<(), LaunchError>>,
}

impl ShardThread {
    fn join(self) -> Result<(), LaunchError> {
        let shard = self.shard;
        self.thread.join().unwrap_or(Err(LaunchError::Panicked { shard }))
    }
}

impl ShardSpawn {
    fn spawn<F>(self, main: impl Fn(Shard) -> F + Send + 'static) -> Result<ShardThread, LaunchError>
    where
        F: Future<Output = Result<(), BoxError>> + 'static,
    {
        let (shard, name) = (self.inbox.shard(), self.name.clone());
        let exits = self.stopper.exits.clone();
        let work = move || match contain(|| self.run(main)) {
            Ok(ended) => {
                // The waiting thread has given up the shards if it no longer receives.
                exits.send(ExitEvent::Exited(shard)).unwrap_or_default();
                ended
            }
            Err(text) => exit_process(shard, &TaskPanicked::with_text(text)),
        };
        thread::Builder::new()
            .name(name)
            .spawn(work)
            .map(|thread| ShardThread { shard, thread })
            .map_err(|error| LaunchError::Start {
                shard,
                reason: format!("could not spawn its thread: {error}"),
            })
    }

    /// Runs a shard's thread from its set-up to its end.
    fn run<F>(self, main: impl Fn(Shard) -> F + 'static) -> Result<(), LaunchError>
    where
        F: Future<Output = Result<(), BoxError>> + 'static,
    {
        let shard = self.inbox.shard();
        let core = Core::new(Arc::clone(&self.inbox));
        // Set up on its own thread: a ring belongs to the thread that creates it.
        let (executor, reactor) = match self.set_up(&core) {
            Ok(ready) => ready,
            Err(reason) => {
                drop(self.reports.send(Err(LaunchError::Start { shard, reason })));
                return Ok(());
            }
        };
        drop(self.reports.send(Ok(())));
        if !self.start.recv().unwrap_or(false) {
            return Ok(());
        }
        let Self {
            invocations,
            pools,
            watchdog,
            stopper,
            place,
            ..
        } = self;
        let sender = invocations.sender_of(shard);
        let context = ShardContext::new(core, reactor, pools, sender, watchdog);
        Shard::install(&context);
        let ending = Rc::clone(&context);
        let outcome = executor.run(async move {
            invocations.receive(|_, invocation| invocation());
            let outcome = Rc::new(Cell::new(None));
            let finished = MainOutcome(Rc::clone(&outcome));
            spawn_from(place, async move {
                // `main` is called inside the future, so that a panic before its first await is caught too.
                let main = pin!(async move { main(Shard::current()).await });
                let ended = caught(main).await;
                // The error of the run reports the panic. A task that panics by itself would log it as well.
                finished.set(ended.unwrap_or_else(|panicked| Err(format!("the main function {panicked}").into())));
            });
            drive(&context, &|| MainOutcome::is_set(&outcome)).await;
            outcome.take().unwrap_or(Ok(()))
        });
        // After the executor: a task that ended last may still have sent a message.
        ending.end_messages();
        outcome.map_err(|error| {
            // One failed shard stops the others: its connections are lost, and the process must not look healthy.
            stopper.stop(Stop::Now);
            LaunchError::Main { shard, error }
        })
    }

    /// Creates the executor and the reactor of this thread, and pins the thread.
    fn set_up(&self, core: &Core) -> Result<(Executor, Reactor), String> {
        if self.driver == Driver::Epoll {
            self.pin();
            return self
                .set_up_epoll(core)
                .map_err(|error| format!("could not set up epoll: {error}; raise `ulimit -n`"));
        }
        let executor = Executor::beside_ring(&self.name)?;
        self.pin();
        let ring = Ring::new(self.ring.clone(), core.inbox()).map_err(|error| {
            let needs = Needs::of(&self.ring, NonZeroUsize::new(self.count).unwrap_or(NonZeroUsize::MIN));
            explain_ring_refusal(&error, &needs).to_string()
        })?;
        Ok((executor, Reactor::Ring(ring)))
    }

    fn set_up_epoll(&self, core: &Core) -> io::Result<(Executor, Reactor)> {
        let executor = Executor::beside_epoll()?;
        let entered = executor.enter();
        let config = EpollConfig {
            receive_buffer_bytes: self.ring.receive_buffer_bytes as usize,
            spin: self.ring.spin,
        };
        let epoll = Epoll::new(config, core)?;
        drop(entered);
        Ok((executor, Reactor::Epoll(epoll)))
    }

    fn pin(&self) {
        if !core_affinity::set_for_current(core_affinity::CoreId { id: self.cpu }) {
            tracing::warn!(shard = %self.inbox.shard(), cpu = self.cpu, "could not pin thread to CPU; running unpinned");
        }
    }
}

/// The result of a shard's main function; dropped unset, it records that the function was dropped.
struct MainOutcome(Rc<Cell<Option<Result<(), BoxError>>>>);

impl MainOutcome {
    fn set(&self, outcome: Result<(), BoxError>) {
        self.0.set(Some(outcome));
    }

    fn is_set(cell: &Cell<Option<Result<(), BoxError>>>) -> bool {
        let outcome = cell.take();
        let is_set = outcome.is_some();
        cell.set(outcome);
        is_set
    }
}

impl Drop for MainOutcome {
    fn drop(&mut self) {
        if !Self::is_set(&self.0) {
            self.0.set(Some(Err("the main function was dropped".into())));
        }
    }
}

/// Ends the process, because this shard's listener would keep collecting connections without answering them.
#[expect(
    clippy::exit,
    reason = "no shard can be trusted to serve or log; see the module documentation"
)]
fn exit_process(shard: ShardId, panicked: &TaskPanicked) -> ! {
    let words =
        format!("squall-shards: {shard} {panicked}; the process exits, because this shard's connections would hang\n");
    StandardError.write_all(words.as_bytes()).unwrap_or_default();
    std::process::exit(SHARD_PANIC_EXIT_CODE)
}

/// Stops shards, from any thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    inboxes: Arc<[Arc<Inbox>]>,
    exits: Sender<ExitEvent>,
}

impl Stopper {
    /// Asks every shard to stop.
    ///
    /// The main functions see the request through [`Shard::stopping`](crate::Shard::stopping) and decide what to do.
    pub fn stop(&self, stop: Stop) {
        for inbox in self.inboxes.iter() {
            inbox.request_stop(stop);
        }
        // After the request: the waiting thread reads it when this event comes.
        self.exits.send(ExitEvent::StopRequested).unwrap_or_default();
    }
}
