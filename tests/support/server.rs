//! An example as a child process: started on a port the kernel picks, watched, and reaped.
//!
//! The tests see only its command line, its standard error and its sockets. Standard error is read to the end, so
//! that its pipe never fills, and is shown when a test fails.

#![expect(
    clippy::disallowed_types,
    reason = "a test process has no shards; a reader thread and the tests share the log of the child"
)]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use super::client::Connection;
use super::forwarder::{self, Forwarder};

/// How long a server may take to announce its address. Generous: a debug build on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server may take to end after a signal: a graceful stop ends after at most 30 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(45);

/// The text before the address in the line that announces a listener.
const ANNOUNCEMENT: &str = "listening on http";

/// The thread that a server starts last, before it listens.
const LAST_THREAD: &str = "squall-watchdog";

/// Flags for a server whose clients pause for as long as a test wants: no pause of theirs ends a connection.
pub(crate) const PATIENT: [&str; 14] = [
    "--handshake-timeout",
    "600",
    "--header-timeout",
    "600",
    "--body-timeout",
    "600",
    "--min-body-rate",
    "0",
    "--write-timeout",
    "600",
    "--min-write-rate",
    "0",
    "--ping-interval",
    "0",
];

/// A running example, killed and reaped when dropped.
pub(crate) struct Server {
    child: Mutex<Child>,
    id: u32,
    address: SocketAddr,
    log: Arc<Log>,
    has_been_awaited: AtomicBool,
    /// What tests connect to if they run over TLS.
    forwarder: Option<Forwarder>,
}

impl Server {
    /// Starts an example on one shard and waits until it listens.
    ///
    /// # Panics
    ///
    /// When the example is not built, ends before it listens, or never announces its address.
    pub(crate) fn start(example: &str, flags: &[&str]) -> Self {
        Self::start_with_shards(example, 1, flags)
    }

    /// Starts an example on a number of shards and waits until it listens.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub(crate) fn start_with_shards(example: &str, shards: usize, flags: &[&str]) -> Self {
        Self::start_by(command(example), shards, flags)
    }

    /// Starts an example through a command of the test, such as one that sets limits first.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub(crate) fn start_by(mut command: Command, shards: usize, flags: &[&str]) -> Self {
        let mut child = spawn(&mut command, shards, flags);
        let log = Arc::new(Log::default());
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || log.follow(stderr));
        }
        let Some(address) = log.address() else {
            drop(child.kill());
            drop(child.wait());
            panic!("{command:?} never listened; it said:\n{}", log.text());
        };
        Self::of(child, address, log)
    }

    /// Starts an example on one shard and leaves its standard error, behind the announced address, to the test.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub(crate) fn start_unread(example: &str) -> (Self, ChildStderr) {
        let mut child = spawn(&mut command(example), 1, &[]);
        let mut stderr = child.stderr.take().expect("it is piped");
        // Byte by byte, so that nothing behind the announcement is read. A warning may come before it.
        let (mut line, mut byte) = (Vec::new(), [0]);
        let address = loop {
            stderr.read_exact(&mut byte).expect("the example announces its address");
            line.extend(byte);
            if byte == [b'\n'] {
                if let Some(address) = announced_address(&String::from_utf8_lossy(&line)) {
                    break address;
                }
                line.clear();
            }
        };
        let log = Log::default();
        lock(&log.state).ended = true;
        (Self::of(child, address, Arc::new(log)), stderr)
    }

    fn of(child: Child, address: SocketAddr, log: Arc<Log>) -> Self {
        Self {
            id: child.id(),
            child: Mutex::new(child),
            address,
            log,
            has_been_awaited: AtomicBool::new(false),
            forwarder: forwarder::is_asked_for().then(|| Forwarder::start(address)),
        }
    }

    /// The `conformance` server with default limits, one for all tests that run at the same time.
    ///
    /// The last test that drops it ends it, so that it does not outlive the test process.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = lock(&SHARED);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start("conformance", &[]));
        *shared = Arc::downgrade(&server);
        server
    }

    /// The address of the server.
    pub(crate) fn address(&self) -> SocketAddr {
        self.forwarder
            .as_ref()
            .map_or(self.address, |forwarder| forwarder.address)
    }

    /// Opens a connection to the server.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address())
    }

    /// Sends SIGTERM, which begins a graceful stop.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &self.id.to_string()])
            .status()
            .expect("a shell to send the signal with");
        assert!(status.success(), "kill failed: {status}");
    }

    /// Sends SIGKILL without waiting for the end, as [`wait`](Self::wait) does.
    pub(crate) fn kill(&self) {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a child has an id"), Signal::KILL).expect("a child can be killed");
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Sends SIGSTOP and waits until the process has stopped; SIGCONT resumes it.
    pub(crate) fn suspend(&self) {
        self.signal("STOP");
        while self.state() != Some('T') {
            thread::yield_now();
        }
    }

    /// Waits until the server has ended by itself.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub(crate) fn wait(&self) -> ExitStatus {
        assert!(
            self.log.wait_for_end(STOP_TIMEOUT),
            "the server has not ended after {STOP_TIMEOUT:?}; it said:\n{}",
            self.log.text()
        );
        self.has_been_awaited.store(true, Ordering::Relaxed);
        lock(&self.child).wait().expect("the server is our child")
    }

    /// The state of the process in the kernel's letters: `T` while a signal has stopped it.
    fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id)).ok()?;
        let (_name, rest) = stat.rsplit_once(") ")?;
        rest.chars().next()
    }

    /// How many files the server has open, sockets included.
    pub(crate) fn open_descriptors(&self) -> usize {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", self.id)).expect("the server runs");
        folder.count()
    }

    /// The names of the open files, such as `socket:[…]`, to compare two moments.
    pub(crate) fn descriptor_names(&self) -> Vec<String> {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", self.id)).expect("the server runs");
        // A descriptor that is closed meanwhile has lost its name.
        let names = folder.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        names.map(|name| name.display().to_string()).collect()
    }

    /// What the server has written to standard error so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// The memory the server holds, in bytes (`VmRSS`).
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory the server has held so far, in bytes (`VmHWM`).
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The pages of files that the server has in memory now, such as those of its program, in bytes (`RssFile`).
    pub(crate) fn file_bytes(&self) -> u64 {
        self.memory("RssFile:")
    }

    /// Limits the server to this much more address space than it has now (`RLIMIT_AS`).
    pub(crate) fn limit_address_space(&self, more_bytes: u64) {
        // A thread that begins to run under the limit may find no room for its stack, which ends the process.
        super::eventually("the last thread runs", || {
            let mut names = self.thread_names();
            names.any(|name| name.trim_end() == LAST_THREAD)
        });
        let limit = Some(self.memory("VmSize:") + more_bytes);
        let limit = Rlimit {
            current: limit,
            maximum: limit,
        };
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        prlimit(id, Resource::As, limit).expect("the limit of a child can be lowered");
    }

    /// The names of the threads, each given when the thread runs.
    fn thread_names(&self) -> impl Iterator<Item = String> {
        let folder = std::fs::read_dir(format!("/proc/{}/task", self.id)).expect("the server runs");
        folder.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("comm")).ok())
    }

    /// A line of the kernel's report on the server's memory, in bytes.
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id)).expect("the server runs");
        let line = status.lines().find(|line| line.starts_with(name)).expect("such a line");
        let kibibytes = line.split_ascii_whitespace().nth(1).expect("a number");
        kibibytes.parse::<u64>().expect("a number") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        let ended = child.try_wait().ok().flatten();
        drop(child.kill());
        drop(child.wait());
        if thread::panicking() {
            eprintln!("the server said:\n{}", self.log.text());
        } else if !self.has_been_awaited.load(Ordering::Relaxed) {
            assert!(
                ended.is_none(),
                "the server died of a test: {ended:?}; it said:\n{}",
                self.log.text()
            );
        }
    }
}

/// Starts a server on a port that the kernel picks.
fn spawn(command: &mut Command, shards: usize, flags: &[&str]) -> Child {
    command
        .args(["--listen", "127.0.0.1:0", "--shards", &shards.to_string()])
        .args(forwarder::is_asked_for().then_some("--tls-self-signed"))
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

/// The command that runs an example, with the driver of `SQUALL_TEST_DRIVER` if that is set.
///
/// # Panics
///
/// When the example has not been built.
pub(crate) fn command(example: &str) -> Command {
    let mut command = Command::new(path_of(example));
    command.env("NO_COLOR", "1");
    if let Some(driver) = driver_under_test() {
        command.args(["--driver", &driver]);
    }
    command
}

/// Runs an example that should end by itself, as with `--help`, and returns its output.
///
/// # Panics
///
/// When it serves instead of ending.
pub(crate) fn run_to_end(example: &str, arguments: &[&str]) -> Output {
    let mut child = command(example)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start the example {example}: {error}"));
    let stdout = read_in_background(child.stdout.take().expect("it is piped"));
    let stderr = read_in_background(child.stderr.take().expect("it is piped"));
    let Ok(stdout) = stdout.recv_timeout(START_TIMEOUT) else {
        drop(child.kill());
        drop(child.wait());
        let said = stderr.recv().unwrap_or_default();
        panic!(
            "the example {example} {arguments:?} does not end; it said:\n{}",
            String::from_utf8_lossy(&said)
        );
    };
    Output {
        status: child.wait().expect("it is our child"),
        stdout,
        stderr: stderr.recv().expect("it has been read to its end"),
    }
}

/// Reads a pipe to its end on another thread and sends the bytes.
fn read_in_background(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        drop(pipe.read_to_end(&mut text));
        sender.send(text).unwrap_or_default();
    });
    receiver
}

/// The path of an example: beside the `deps` folder that this test runs from.
///
/// # Panics
///
/// When the example has not been built.
pub(crate) fn path_of(example: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("the path of this test");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "{} is missing: `cargo test` builds the examples, `cargo test --test …` alone does not; run `cargo build --examples`",
        path.display()
    );
    path
}

/// The standard error of the child, and what was parsed from it.
#[derive(Default)]
struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Default)]
struct LogState {
    text: String,
    address: Option<SocketAddr>,
    ended: bool,
}

impl Log {
    /// Reads standard error to its end.
    fn follow(&self, stderr: ChildStderr) {
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            let mut state = lock(&self.state);
            state.text.push_str(&text);
            state.address = state.address.or_else(|| announced_address(&text));
            drop(state);
            self.changed.notify_all();
            line.clear();
        }
        lock(&self.state).ended = true;
        self.changed.notify_all();
    }

    /// Waits for the announced address; `None` if the child ended or stayed silent.
    fn address(&self) -> Option<SocketAddr> {
        let waiting = |state: &mut LogState| state.address.is_none() && !state.ended;
        let (state, _) = self
            .changed
            .wait_timeout_while(lock(&self.state), START_TIMEOUT, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        state.address
    }

    /// Waits until standard error is closed, which happens at the end of the child.
    fn wait_for_end(&self, timeout: Duration) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(lock(&self.state), timeout, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.ended
    }

    fn text(&self) -> String {
        lock(&self.state).text.clone()
    }
}

/// The address in a line such as `listening on http://127.0.0.1:40123`.
fn announced_address(line: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once(ANNOUNCEMENT)?;
    let after = after.strip_prefix('s').unwrap_or(after).strip_prefix("://")?;
    let in_address = |character: char| character.is_ascii_hexdigit() || ".:[]".contains(character);
    let end = after.find(|character| !in_address(character)).unwrap_or(after.len());
    after.get(..end)?.parse().ok()
}

/// Locks even after a test has panicked with the lock held: the guarded data stays valid.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The driver under test, from `SQUALL_TEST_DRIVER`; without it a server chooses its own.
pub(crate) fn driver_under_test() -> Option<String> {
    std::env::var("SQUALL_TEST_DRIVER").ok()
}
