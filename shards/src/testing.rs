//! Helpers of this package's tests: child processes that rerun one test, a waker that counts, `block_on`, and folders.
//!
//! Signals, inherited descriptors, resource limits and seccomp filters belong to a whole process. So a test of them
//! does its work in a child: the test binary, started again for that one test.

#[path = "../tests/common/skip.rs"]
pub(crate) mod skip;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Names the role of a child process; unset in the test process itself.
const CHILD_ROLE: &str = "SQUALL_SHARDS_CHILD_ROLE";

/// Returns the command that runs one test again, alone, in a child process that plays `role`.
///
/// `module` is the caller's `module_path!()`, `test` the name of the test function.
pub(crate) fn child(module: &str, test: &str, role: &str) -> Command {
    let (_package, module) = module
        .split_once("::")
        .expect("a test lives in a module of this package");
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            &format!("{module}::{test}"),
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD_ROLE, role);
    command
}

/// Returns the role of this process if it is a child started by [`child`].
pub(crate) fn child_role() -> Option<String> {
    env::var(CHILD_ROLE).ok()
}

/// Runs the command to its end and returns what it printed; panics if it failed or ran no test.
pub(crate) fn output_of(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !text.contains("running 0 tests"),
        "no test has the name the child was given"
    );
    text
}

/// Counts its wake-ups; of std even under loom, because it is not under test.
#[derive(Default)]
pub(crate) struct Woken(AtomicUsize);

impl Woken {
    pub(crate) fn times(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
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

/// A folder of one test, removed when dropped.
pub(crate) struct TestFolder(PathBuf);

impl TestFolder {
    /// Makes an empty folder.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("squall-shards-{}-{count}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}
