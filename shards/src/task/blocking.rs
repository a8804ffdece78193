//! A bounded pool of threads for work that blocks: password hashing, SQLite, files without io_uring.
//!
//! Why: a shard that blocks serves no client, and a thread on the same core takes CPU time from it. So the pool pins
//! its threads to the CPUs without a shard; otherwise a thread inherits the single CPU of the shard that started it.
//! Threads start when work waits for one, up to a maximum, and exit after a time without work.
//!
//! Invariants: the queue never exceeds its limit, and refused work has not run. The future of a closure always
//! resolves: the closure returned, panicked, or was dropped before it ran. Queued work waits only while the maximum of
//! threads is busy, and never after the pool stops. Closures run, and are dropped, while the state is not locked.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use futures_channel::oneshot;
use rustix::thread::CpuSet;

use crate::os::sys::use_idle_scheduling;
use crate::panics::{contain, drop_contained};

#[expect(
    clippy::disallowed_types,
    reason = "a lock of some instructions for each blocking closure, which takes a thread switch anyway; no byte's path"
)]
type Mutex<T> = std::sync::Mutex<T>;

/// The limits of a [`BlockingPool`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockingLimits {
    /// The most threads at once, at least 1.
    ///
    /// Default 32: enough to keep a local database or disk busy. Password hashing on all of them does not starve the
    /// machine.
    pub threads_max: usize,
    /// The most closures waiting for a thread, at least 1.
    ///
    /// Default 1024: behind a longer queue the caller has usually given up.
    pub queue_max: usize,
    /// How long an idle thread waits for work before it exits, 10 s by default.
    pub idle_timeout: Duration,
    /// Whether threads run only while a CPU has no other work (`SCHED_IDLE`), for long computations; off by default.
    pub yields_to_others: bool,
}

impl Default for BlockingLimits {
    fn default() -> Self {
        Self {
            threads_max: 32,
            queue_max: 1024,
            idle_timeout: Duration::from_secs(10),
            yields_to_others: false,
        }
    }
}

/// A pool of threads for blocking work; clones are the same pool and work on every shard.
///
/// When the last clone is dropped each thread exits after its current closure; [`shutdown`](Self::shutdown) also waits
/// for them.
#[derive(Clone)]
pub struct BlockingPool {
    owner: Arc<Owner>,
}

/// What the pool's handles share and its threads do not: its drop stops the pool.
struct Owner(Arc<Shared>);

struct Shared {
    limits: BlockingLimits,
    cpus: Vec<usize>,
    state: Mutex<State>,
    /// Work was queued, or the pool has stopped.
    work: Condvar,
    /// A thread has exited.
    exits: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// All threads, those about to start included.
    threads: usize,
    /// Threads waiting for work.
    idle: usize,
    is_stopped: bool,
}

type Job = Box<dyn FnOnce() + Send>;

impl BlockingPool {
    /// Creates a pool that starts without threads; its threads will run on `cpus`.
    ///
    /// If `cpus` is empty, a thread inherits the affinity of the thread that starts it.
    #[must_use]
    pub fn new(limits: BlockingLimits, cpus: Vec<usize>) -> Self {
        Self {
            owner: Arc::new(Owner(Arc::new(Shared {
                limits,
                cpus,
                state: Mutex::default(),
                work: Condvar::new(),
                exits: Condvar::new(),
            }))),
        }
    }

    /// Runs a closure on a thread of the pool and returns a future of its result, for any executor.
    ///
    /// The closure is queued at once, before the future is polled. If the queue is full or the pool has stopped, the
    /// closure is dropped without having run, and the future returns the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the closure; its result is discarded.
    pub fn spawn<F, R>(&self, closure: F) -> BlockingTask<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            let result = contain(closure).map_err(|text| {
                let text = text.unwrap_or_else(|| "a payload that is not text".to_owned());
                BlockingError::Panicked(text)
            });
            // A failed send means that the caller dropped its future; the result is dropped here.
            drop(sender.send(result));
        };
        let state = match self.owner.0.queue(Box::new(job)) {
            Ok(()) => TaskState::Queued(receiver),
            Err(refused) => TaskState::Refused(refused),
        };
        BlockingTask { state }
    }

    /// Returns the most threads at once.
    #[must_use]
    pub fn threads_max(&self) -> usize {
        self.owner.0.limits.threads_max.max(1)
    }

    /// Returns the number of live threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.owner.0.lock().threads
    }

    /// Stops the pool and waits at most `patience`, blocking the calling thread; returns how many threads still run.
    ///
    /// Queued closures are dropped without having run, and idle threads exit at once. A thread still running its
    /// closure is abandoned and exits after it, or with the process.
    pub fn shutdown(&self, patience: Duration) -> usize {
        self.owner.0.stop();
        self.owner.0.wait_for_exits(patience)
    }
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.owner.0;
        let mut pool = formatter.debug_struct("BlockingPool");
        pool.field("limits", &shared.limits)
            .field("cpus", &shared.cpus)
            .field("threads", &self.threads());
        pool.field("queued", &shared.lock().queue.len()).finish()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What starting a thread takes. Its stack has 2 MiB, which is std's size. Its signal stack and what allocators keep
/// for a thread have 1 MiB.
const THREAD_BYTES: usize = 3 * 1024 * 1024;

/// Asks for what a thread takes, and gives it back.
///
/// # Errors
///
/// Memory is refused, as under `RLIMIT_AS`.
fn has_memory_for_a_thread() -> io::Result<()> {
    let mut stack: Vec<u8> = Vec::new();
    stack
        .try_reserve_exact(THREAD_BYTES)
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues work, and ensures that a thread takes it: an idle one, a new one, or a busy one after its closure.
    ///
    /// # Errors
    ///
    /// The queue is full, or the pool has stopped; the work is dropped.
    fn queue(self: &Arc<Self>, job: Job) -> Result<(), BlockingError> {
        let mut state = self.lock();
        if state.is_stopped {
            return Err(BlockingError::NotRun);
        }
        let queue_max = self.limits.queue_max.max(1);
        if state.queue.len() >= queue_max {
            return Err(BlockingError::PoolFull { queue_max });
        }
        state.queue.push_back(job);
        // A thread that was notified and does not run yet counts as idle, and its work as queued.
        let needs_thread = state.queue.len() > state.idle && state.threads < self.limits.threads_max.max(1);
        if needs_thread {
            state.threads += 1;
        }
        drop(state);
        if needs_thread {
            self.start_thread();
        } else {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Drops the queued work and makes every thread exit after its closure.
    fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        self.work.notify_all();
        drop_all(queue);
    }

    /// Waits at most `patience` until no thread is left; returns how many are.
    fn wait_for_exits(&self, patience: Duration) -> usize {
        let waited = self
            .exits
            .wait_timeout_while(self.lock(), patience, |state| state.threads > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.threads
    }

    /// Starts a thread that has been counted already.
    fn start_thread(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        // A new thread that finds no memory for its signal stack ends the process: std panics where nothing can catch it.
        let started = has_memory_for_a_thread().and_then(|()| {
            thread::Builder::new()
                .name("squall-blocking".to_owned())
                .spawn(move || shared.run())
        });
        if let Err(error) = started {
            tracing::error!(%error, "could not start a thread for blocking work");
            let mut state = self.lock();
            // Without any thread the queued work would wait forever.
            if self.count_exit(&mut state) == 0 {
                let queue = std::mem::take(&mut state.queue);
                drop(state);
                drop_all(queue);
            }
        }
    }

    /// The body of a thread.
    fn run(&self) {
        // A thread inherits the affinity of its creator, which may be a pinned shard.
        self.leave_the_shards_cpus();
        if self.limits.yields_to_others
            && let Err(error) = use_idle_scheduling()
        {
            tracing::warn!(%error, "could not lower the priority of a thread for computations; it takes time from shards");
        }
        while let Some(job) = self.next_job() {
            if contain(job).is_err() {
                tracing::error!("dropping blocking work panicked");
            }
        }
    }

    /// Waits for work; `None` if the thread must exit, which is then no longer counted.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        state.idle += 1;
        let waited = self.work.wait_timeout_while(state, self.limits.idle_timeout, |state| {
            state.queue.is_empty() && !state.is_stopped
        });
        (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        let job = state.queue.pop_front();
        if job.is_none() {
            self.count_exit(&mut state);
        }
        job
    }

    /// Counts a thread that exits; returns how many are left.
    fn count_exit(&self, state: &mut State) -> usize {
        state.threads -= 1;
        self.exits.notify_all();
        state.threads
    }

    fn leave_the_shards_cpus(&self) {
        let mut allowed = CpuSet::new();
        self.cpus
            .iter()
            .filter(|cpu| **cpu < CpuSet::MAX_CPU)
            .for_each(|cpu| allowed.set(*cpu));
        if allowed.count() > 0
            && let Err(error) = rustix::thread::sched_setaffinity(None, &allowed)
        {
            tracing::warn!(%error, cpus = ?self.cpus, "could not move a thread for blocking work off the shards' CPUs");
        }
    }
}

fn drop_all(queue: VecDeque<Job>) {
    for job in queue {
        drop_contained(job, "blocking work that has not run");
    }
}

/// The future of a closure passed to [`BlockingPool::spawn`].
#[must_use = "the closure runs anyway, but its result and its panic are lost"]
pub struct BlockingTask<R: Send> {
    state: TaskState<R>,
}

enum TaskState<R: Send> {
    Queued(oneshot::Receiver<Result<R, BlockingError>>),
    Refused(BlockingError),
}

impl<R: Send> fmt::Debug for BlockingTask<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = matches!(self.state, TaskState::Refused(_));
        formatter
            .debug_struct("BlockingTask")
            .field("refused", &refused)
            .finish()
    }
}

impl<R: Send> Future for BlockingTask<R> {
    type Output = Result<R, BlockingError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            TaskState::Queued(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(BlockingError::NotRun))),
            TaskState::Refused(error) => Poll::Ready(Err(error.clone())),
        }
    }
}

/// Why blocking work has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockingError {
    /// The queue was full, and the closure has not run; report an overload (503) to the client.
    PoolFull {
        /// The limit reached, in waiting closures.
        queue_max: usize,
    },
    /// The closure panicked, with this message.
    Panicked(String),
    /// The closure has not run: the pool was stopped, or no thread could be started.
    NotRun,
}

impl fmt::Display for BlockingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoolFull { queue_max } => {
                write!(
                    formatter,
                    "could not run blocking work: {queue_max} closures already wait for a thread"
                )
            }
            Self::Panicked(message) => write!(formatter, "blocking work panicked: {message}"),
            Self::NotRun => formatter.write_str("could not run blocking work: the pool has stopped"),
        }
    }
}

impl Error for BlockingError {}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};

    use crossbeam::channel::{self, Sender};

    use super::*;
    use crate::testing::block_on;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn pool(threads_max: usize, queue_max: usize, idle_timeout: Duration) -> BlockingPool {
        BlockingPool::new(
            BlockingLimits {
                threads_max,
                queue_max,
                idle_timeout,
                yields_to_others: false,
            },
            Vec::new(),
        )
    }

    /// The policy is field 41 of the file (proc_pid_stat(5)), and 5 stands for `SCHED_IDLE`.
    #[test]
    fn threads_that_yield_to_others_have_the_idle_policy() {
        for (yields_to_others, expected) in [(false, "0"), (true, "5")] {
            let limits = BlockingLimits {
                yields_to_others,
                ..BlockingLimits::default()
            };
            let pool = BlockingPool::new(limits, Vec::new());
            let stat = pool.spawn(|| std::fs::read_to_string("/proc/thread-self/stat").unwrap());
            let stat = block_on(stat).unwrap();
            let behind_the_name = stat.rsplit(") ").next().unwrap();
            assert_eq!(behind_the_name.split(' ').nth(38), Some(expected));
        }
    }

    /// Occupies one thread of the pool until the returned sender is dropped; waits until the thread is busy.
    fn occupy(pool: &BlockingPool) -> (Sender<()>, BlockingTask<()>) {
        let (release, released) = channel::bounded::<()>(0);
        let (started, start) = channel::bounded(1);
        let task = pool.spawn(move || {
            started.send(()).unwrap();
            assert!(released.recv().is_err());
        });
        start.recv().unwrap();
        (release, task)
    }

    #[test]
    fn a_result_or_the_message_of_a_panic_comes_back() {
        let pool = pool(2, 4, PATIENCE);
        assert_eq!(pool.threads(), 0, "threads start with the first work");
        assert_eq!(block_on(pool.spawn(|| 6 * 7)), Ok(42));
        let panicked = |message: &str| Err::<(), _>(BlockingError::Panicked(message.to_owned()));
        assert_eq!(block_on(pool.spawn(|| panic!("plain"))), panicked("plain"));
        assert_eq!(block_on(pool.spawn(|| panic!("number {}", 7))), panicked("number 7"));
        assert_eq!(
            block_on(pool.spawn(|| std::panic::panic_any(7))),
            panicked("a payload that is not text")
        );
        assert_eq!(block_on(pool.spawn(|| "still alive")), Ok("still alive"));
        assert!((1..=2).contains(&pool.threads()));
    }

    #[test]
    fn as_many_closures_run_at_once_as_threads_are_allowed_and_no_more() {
        let pool = pool(3, 8, PATIENCE);
        let together = Arc::new(Barrier::new(3));
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let together = Arc::clone(&together);
                pool.spawn(move || together.wait().is_leader())
            })
            .collect();
        let leaders = tasks
            .into_iter()
            .map(|task| block_on(task).unwrap())
            .filter(|leads| *leads);
        assert_eq!(leaders.count(), 2);
        assert_eq!(pool.threads(), 3);
    }

    #[test]
    fn a_full_queue_refuses_work_without_running_it() {
        let pool = pool(1, 2, PATIENCE);
        let (release, occupying) = occupy(&pool);
        let queued = [pool.spawn(|| 1), pool.spawn(|| 2)];
        let ran = Arc::new(AtomicBool::new(false));
        let refused = pool.spawn({
            let ran = Arc::clone(&ran);
            move || ran.store(true, Ordering::Relaxed)
        });
        assert_eq!(block_on(refused), Err(BlockingError::PoolFull { queue_max: 2 }));
        assert_eq!(Arc::strong_count(&ran), 1, "the closure was dropped");
        drop(release);
        assert_eq!(block_on(occupying), Ok(()));
        assert_eq!(queued.map(block_on), [Ok(1), Ok(2)]);
        assert!(!ran.load(Ordering::Relaxed));
    }

    #[test]
    fn work_whose_future_is_dropped_runs_to_its_end() {
        let pool = pool(1, 2, PATIENCE);
        let (send, done) = channel::bounded(1);
        drop(pool.spawn(move || send.send("done")));
        assert_eq!(done.recv(), Ok("done"));
    }

    #[test]
    fn no_closure_is_forgotten_while_threads_come_and_go() {
        // Every thread gives up waiting at once, so each closure races with an exit; a lost closure would never resolve.
        let pool = pool(1, 4, Duration::ZERO);
        for number in 0..3_000 {
            assert_eq!(block_on(pool.spawn(move || number)), Ok(number));
        }
        while pool.threads() > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn shutdown_ends_idle_threads_and_drops_queued_closures() {
        let pool = pool(2, 4, PATIENCE);
        let (release, occupying) = occupy(&pool);
        let (other_release, other) = occupy(&pool);
        let queued = pool.spawn(|| "never");
        assert_eq!(pool.shutdown(Duration::ZERO), 2, "two closures are running");
        assert_eq!(block_on(queued), Err(BlockingError::NotRun));
        assert_eq!(block_on(pool.spawn(|| "too late")), Err(BlockingError::NotRun));
        drop((release, other_release));
        assert_eq!((block_on(occupying), block_on(other)), (Ok(()), Ok(())));
        assert_eq!(pool.shutdown(PATIENCE), 0);
        assert_eq!(pool.threads(), 0);
    }

    #[test]
    fn dropping_the_last_handle_ends_the_pool() {
        let pool = pool(1, 4, PATIENCE);
        let (release, occupying) = occupy(&pool);
        let queued = pool.spawn(|| "never");
        let shared = Arc::clone(&pool.owner.0);
        drop(pool);
        assert_eq!(block_on(queued), Err(BlockingError::NotRun));
        drop(release);
        assert_eq!(block_on(occupying), Ok(()));
        assert_eq!(shared.wait_for_exits(PATIENCE), 0);
    }

    #[test]
    fn threads_run_on_the_given_cpus_although_a_pinned_shard_starts_them() {
        let allowed = rustix::thread::sched_getaffinity(None).unwrap();
        let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
        let (shard, own) = (cpus[0], cpus[cpus.len() - 1]);
        let pinned = thread::spawn(move || {
            assert!(core_affinity::set_for_current(core_affinity::CoreId { id: shard }));
            let pool = BlockingPool::new(BlockingLimits::default(), vec![own, usize::MAX]);
            block_on(pool.spawn(|| rustix::thread::sched_getaffinity(None).unwrap())).unwrap()
        });
        let mut expected = CpuSet::new();
        expected.set(own);
        assert_eq!(pinned.join().unwrap(), expected);
    }
}
