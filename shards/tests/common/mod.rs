//! Helpers of the runtime's tests: shards on a thread, child processes with their own limits, and waits with a time
//! limit.
//!
//! Signals, resource limits, seccomp filters and descriptor counts belong to a whole process. So a test of them does
//! its work in a child: the test binary, started again for that one test.

#![allow(dead_code, reason = "each test binary uses its own part of this file")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "helpers of tests, outside any #[test] function; threads outside the shards may sleep and read a clock"
)]

pub(crate) mod skip;

use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use squall_shards::{
    BoxError, Builder, Driver, LaunchError, Listener, Listeners, Remote, Shard, ShardId, Shards, Statistics, Stop,
    Stopper, Stream, spawn_detached,
};

/// Longer than any wait here takes on the slowest host; a wait that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The driver of all tests of this process: `SQUALL_TEST_DRIVER`, or the best available.
fn driver() -> Driver {
    std::env::var("SQUALL_TEST_DRIVER").map_or(Driver::Auto, |name| name.parse().unwrap())
}

/// Returns whether a test of the ring has no ring to test, and is therefore skipped.
#[track_caller]
pub(crate) fn skips_without_ring() -> bool {
    let skips = builder(1).build().unwrap().driver() != Driver::IoUring;
    if skips {
        skip::skip("the test is of io_uring, and these shards run on epoll");
    }
    skips
}

/// Small rings, so that many tests fit beside each other.
pub(crate) fn builder(shards: usize) -> Builder {
    Builder::new()
        .driver(driver())
        .shards(shards)
        .submission_entries(128)
        .receive_buffers(64, 4096)
}

/// Ends the process if the test exceeds its time limit, because a hang should be a failure with a name.
pub(crate) fn time_limit() -> TimeLimit {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let (alive, ended) = channel::<()>();
    thread::spawn(move || {
        if ended.recv_timeout(2 * PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{test} hangs; the process exits");
            std::process::abort();
        }
    });
    TimeLimit { _alive: alive }
}

/// Lifts the time limit when dropped.
pub(crate) struct TimeLimit {
    _alive: Sender<()>,
}

/// Shards running on a thread.
pub(crate) struct RunningShards {
    pub(crate) remote: Remote,
    pub(crate) stopper: Stopper,
    pub(crate) shards: usize,
    thread: JoinHandle<Result<(), LaunchError>>,
}

impl RunningShards {
    /// Starts shards whose main function is `main`.
    pub(crate) fn start<M, F>(shards: Shards, main: M) -> Self
    where
        M: Fn(Shard) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), BoxError>> + 'static,
    {
        let (remote, stopper, count) = (shards.remote(), shards.stopper(), shards.count());
        let thread = thread::spawn(move || shards.run(main));
        Self {
            remote,
            stopper,
            shards: count,
            thread,
        }
    }

    /// Starts shards that pass each connection of their listeners to a new task.
    pub(crate) fn serving<F>(shards: Shards, listeners: Listeners, handle: fn(Stream) -> F) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::start(shards, move |_| {
            let listeners = listeners.clone();
            async move {
                if let Some(listener) = listeners.open() {
                    serve(listener, handle).await;
                }
                Ok(())
            }
        })
    }

    /// Starts shards that stay idle until they are asked to stop.
    pub(crate) fn idle(shards: Shards) -> Self {
        Self::start(shards, |shard| async move {
            shard.stopping(Stop::Graceful).await;
            Ok(())
        })
    }

    /// Runs a future on a shard and waits for its output.
    pub(crate) fn on<F, T>(&self, shard: usize, task: F) -> T::Output
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future + 'static,
        T::Output: Send + 'static,
    {
        block_on(self.remote.invoke_on(ShardId::new(shard), task)).unwrap()
    }

    /// Returns the counters of a shard.
    pub(crate) fn statistics(&self, shard: usize) -> Statistics {
        self.on(shard, || async { Shard::current().statistics() })
    }

    /// Waits until a shard's counters satisfy `wanted`.
    pub(crate) fn eventually(&self, shard: usize, what: &str, wanted: impl Fn(&Statistics) -> bool) -> Statistics {
        let mut seen = self.statistics(shard);
        eventually(
            || {
                seen = self.statistics(shard);
                wanted(&seen)
            },
            || format!("{what}: {:?}", self.statistics(shard)),
        );
        seen
    }

    /// Stops the shards and returns the result of `run`.
    pub(crate) fn stop(self) -> Result<(), LaunchError> {
        self.stopper.stop(Stop::Graceful);
        self.thread.join().expect("run does not panic")
    }

    /// Waits for `run` to end by itself.
    pub(crate) fn join(self) -> Result<(), LaunchError> {
        self.thread.join().expect("run does not panic")
    }
}

/// Passes every connection to a new task until the shard is asked to stop.
pub(crate) async fn serve<F>(listener: Listener, handle: impl Fn(Stream) -> F)
where
    F: Future<Output = ()> + 'static,
{
    let shard = Shard::current();
    while let Some(stream) = or_stopped(&shard, listener.accept()).await {
        spawn_detached(handle(stream.unwrap()));
    }
}

/// Returns the output of a future, or `None` if the shard is asked to stop first.
pub(crate) async fn or_stopped<F: Future>(shard: &Shard, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut stopping = pin!(shard.stopping(Stop::Graceful));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => stopping.as_mut().poll(cx).map(|_| None),
    })
    .await
}

/// Sends everything back, and closes its half when the peer has closed its own.
pub(crate) async fn echo(stream: Stream) {
    while let Ok(Some(received)) = stream.receive().await {
        let bytes = received.to_vec();
        drop(received);
        if stream.send(bytes).await.is_err() {
            return;
        }
    }
    if stream.flush().await.is_ok() {
        stream.shutdown_write().unwrap_or_default();
    }
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits, on a thread outside the shards, until a condition holds; fails with `seen` at the time limit.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool, seen: impl FnOnce() -> String) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "did not happen: {}", seen());
        // The pace of the looks; the condition decides.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits, on a shard, until a condition holds.
pub(crate) async fn eventually_here(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "did not happen: {what}");
        // As above.
        squall_shards::sleep(Duration::from_millis(1)).await;
    }
}

/// A barrier for a number of shards, which may use it repeatedly.
#[derive(Clone)]
pub(crate) struct Meeting {
    arrivals: Arc<AtomicUsize>,
    shards: usize,
}

impl Meeting {
    pub(crate) fn of(shards: usize) -> Self {
        let arrivals = Arc::default();
        Self { arrivals, shards }
    }

    pub(crate) async fn wait(&self) {
        let arrived = self.arrivals.fetch_add(1, Ordering::AcqRel) + 1;
        let complete = arrived.next_multiple_of(self.shards);
        eventually_here("all meet", || self.arrivals.load(Ordering::Acquire) >= complete).await;
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls a future on this thread, parked in between, until it is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}

/// Names the role of a child process; unset in the test process itself.
const CHILD_ROLE: &str = "SQUALL_SHARDS_CHILD_ROLE";

/// Returns the role of this process if it is a child started by [`child`].
pub(crate) fn child_role() -> Option<String> {
    std::env::var(CHILD_ROLE).ok()
}

/// Returns the command that runs one test of this binary again, alone, in a child process that plays `role`.
pub(crate) fn child(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD_ROLE, role)
        .env("RUST_BACKTRACE", "0");
    command
}

/// Runs a test again in a child and fails with its output unless the child succeeds.
pub(crate) fn in_child(test: &str, role: &str) {
    let output = child(test, role).output().unwrap();
    assert!(output.status.success(), "{role}: {}", printed(&output));
    // A stale name matches no test, and a run of no test succeeds.
    assert!(
        printed(&output).contains("running 1 test"),
        "{role}: the child ran no test"
    );
}

/// Returns what a child has printed, and how it ended.
pub(crate) fn printed(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Returns how many descriptors this process has open.
pub(crate) fn open_descriptors() -> usize {
    // The directory being read is one of them, before and after.
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Returns the CPU time a process has used, in steps of 10 ms (the kernel's USER_HZ is 100 on all our architectures).
pub(crate) fn cpu_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name, in parentheses, may contain anything; after it, user and system time are the twelfth and thirteenth
    // fields.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(10 * ticks)
}

/// A path for a Unix socket that no other test uses, removed when dropped.
pub(crate) struct SocketPath(PathBuf);

impl SocketPath {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("squall-{name}-{}.socket", std::process::id()));
        std::fs::remove_file(&path).unwrap_or_default();
        Self(path)
    }

    pub(crate) fn as_path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap_or_default();
    }
}

/// Bytes that encode their own position, so that a lost, doubled or moved one is noticed: numbered blocks of an odd
/// length.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let filling: Vec<u8> = (0..=250).cycle().take(4085).collect();
    let mut bytes = Vec::with_capacity(length + filling.len());
    for number in 0u64.. {
        if bytes.len() >= length {
            break;
        }
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&filling);
    }
    bytes.truncate(length);
    bytes
}
