//! A process this one started and owns: it never outlives its `Child`, whether that ends by return, error or panic.
//!
//! Each child leads a process group of its own, so that Ctrl-C in a terminal reaches the judge alone and helpers of a server
//! (nginx's workers, cargo's compilers) are ended with it. Its output goes to an unnamed file, which cannot fill up and block it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::interrupt::Interrupt;

/// How often a running child is looked at. Often enough for a person, rarely enough to cost a benchmark nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How much of a child's output is read back at most.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;

/// How a wait for a child ended. The child itself is ended in every case once its `Child` is dropped.
#[derive(Debug)]
pub(crate) enum Ending {
    Exited(ExitStatus),
    TimedOut,
    Interrupted,
}

/// A running process and what it printed.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    pid: Pid,
    output: File,
}

impl Child {
    /// Starts `command`; both its output streams are kept for [`Child::output`].
    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = tempfile::tempfile().context("cannot create a temporary file")?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .process_group(0);
        let process = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => anyhow!("`{program}` is not installed, or its folder is missing"),
            _ => anyhow!(error).context(format!("cannot start `{program}`")),
        })?;
        let pid = Pid::from_child(&process);
        Ok(Self { process, pid, output })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether the process has ended. Leaves its figures under `/proc` readable until it is dropped.
    pub(crate) fn has_ended(&self) -> Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(rustix::process::waitid(WaitId::Pid(self.pid), options)?.is_some())
    }

    /// Waits until the process ends, at most for `timeout`.
    pub(crate) fn wait(&mut self, timeout: Duration, interrupt: &Interrupt) -> Result<Ending> {
        match self.wait_unreaped(timeout, interrupt)? {
            None => Ok(Ending::Exited(self.process.wait()?)),
            Some(ending) => Ok(ending),
        }
    }

    /// Waits until the process ends, and leaves its figures under `/proc` readable. `None` says that it ended.
    pub(crate) fn wait_unreaped(&self, timeout: Duration, interrupt: &Interrupt) -> Result<Option<Ending>> {
        let deadline = Instant::now() + timeout;
        while !self.has_ended()? {
            if interrupt.is_raised() {
                return Ok(Some(Ending::Interrupted));
            }
            if Instant::now() >= deadline {
                return Ok(Some(Ending::TimedOut));
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(None)
    }

    /// Asks the process to end and waits until it has, at most for `timeout`.
    pub(crate) fn terminate(&self, timeout: Duration) -> Result<()> {
        rustix::process::kill_process_group(self.pid, Signal::TERM)?;
        self.wait_unreaped(timeout, &Interrupt::default())?;
        Ok(())
    }

    /// What the process has printed so far, on both streams.
    pub(crate) fn output(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        self.output.seek(SeekFrom::Start(0))?;
        (&self.output).take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The one line of its output that most likely says what went wrong: the first error, or else the last line.
    pub(crate) fn complaint(&mut self) -> String {
        let output = self.output().unwrap_or_default();
        let mut lines = output.lines().map(str::trim).filter(|line| !line.is_empty());
        let is_error = |line: &&str| line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"));
        let error = lines.clone().find(is_error);
        error
            .or_else(|| lines.next_back())
            .unwrap_or("it printed nothing")
            .to_owned()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The group is gone already if the process ended and had no helpers; then there is nobody left to tell.
        rustix::process::kill_process_group(self.pid, Signal::KILL).ok();
        self.process.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::spawn(command).unwrap()
    }

    fn is_alive(pid: Pid) -> bool {
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[test]
    fn output_and_status_are_kept() {
        let mut child = shell("echo first; echo 'error: broken' >&2; echo last; exit 3");
        let ending = child.wait(Duration::from_secs(60), &Interrupt::default()).unwrap();
        assert!(
            matches!(ending, Ending::Exited(status) if status.code() == Some(3)),
            "{ending:?}"
        );
        assert_eq!(child.output().unwrap(), "first\nerror: broken\nlast\n");
        assert_eq!(child.complaint(), "error: broken");
    }

    #[test]
    fn complaint_is_the_first_error_in_any_case_or_the_last_line() {
        let complaint = |script| {
            let mut child = shell(script);
            child.wait(Duration::from_secs(60), &Interrupt::default()).unwrap();
            child.complaint()
        };
        assert_eq!(complaint("echo '  Error: no leave'; echo usage"), "Error: no leave");
        assert_eq!(complaint("echo one; echo; echo ünd; echo"), "ünd");
        assert_eq!(complaint("exit 1"), "it printed nothing");
    }

    #[test]
    fn child_dies_with_its_owner_even_in_a_panic() {
        let child = shell("exec sleep 600");
        let pid = child.pid();
        assert!(is_alive(pid));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _owner = child;
            panic!("on purpose");
        }))
        .unwrap_err();
        assert!(!is_alive(pid));
    }

    #[test]
    fn waiting_ends_at_the_deadline_and_on_interrupt() {
        let mut child = shell("exec sleep 600");
        let interrupt = Interrupt::default();
        assert!(matches!(
            child.wait(Duration::ZERO, &interrupt).unwrap(),
            Ending::TimedOut
        ));
        interrupt.raise();
        assert!(matches!(
            child.wait(Duration::from_secs(600), &interrupt).unwrap(),
            Ending::Interrupted
        ));
    }

    #[test]
    fn process_that_is_asked_to_end_may_say_goodbye() {
        let mut child = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
        while child.output().unwrap() != "ready\n" {
            thread::yield_now();
        }
        child.terminate(Duration::from_secs(60)).unwrap();
        assert!(child.has_ended().unwrap());
        // The shell also tells what became of its `sleep`.
        assert!(child.output().unwrap().ends_with("bye\n"));
    }

    #[test]
    fn missing_program_is_named() {
        let error = Child::spawn(Command::new("no-such-program-here")).unwrap_err();
        assert!(
            error.to_string().contains("`no-such-program-here` is not installed"),
            "{error}"
        );
    }
}
