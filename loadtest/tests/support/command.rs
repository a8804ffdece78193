//! `squall-loadtest run` as a child process.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The time after which a run counts as hung, also on a busy machine.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// A finished run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Returns the result of a run with `--json`.
    pub(crate) fn outcome(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that the run failed with `reason`.
    pub(crate) fn assert_failed_because(&self, reason: &str) {
        assert!(
            self.status.code() == Some(1) && self.stderr.contains(reason),
            "expected `{reason}`: {self:?}"
        );
    }
}

/// A run in progress.
pub(crate) struct RunningCommand {
    child: Child,
}

impl RunningCommand {
    /// Sends SIGINT.
    pub(crate) fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits for the end; panics if the run hangs.
    pub(crate) fn end(self) -> Ended {
        let pid = Pid::from_child(&self.child);
        let (send, receive) = mpsc::channel();
        thread::spawn(move || send.send(self.child.wait_with_output().unwrap()));
        let output = receive.recv_timeout(HANG).unwrap_or_else(|_| {
            kill_process(pid, Signal::KILL).ok();
            panic!("the run hangs");
        });
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended {
            status: output.status,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// Starts `squall-loadtest run` with `arguments`.
pub(crate) fn start(arguments: &[&str]) -> RunningCommand {
    let child = Command::new(env!("CARGO_BIN_EXE_squall-loadtest"))
        .arg("run")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    RunningCommand { child }
}

/// Runs `squall-loadtest run` with `arguments` to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    start(arguments).end()
}
