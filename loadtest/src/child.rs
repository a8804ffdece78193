//! A child process that never outlives its `Child`, whether that is dropped by return, error or panic.
//!
//! Each child leads its own process group. So Ctrl-C in a terminal reaches only the orchestrator, and dropping the
//! child also kills its helpers (nginx's workers, cargo's compilers). Its output goes to an unnamed file, because a
//! full pipe would block it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::interrupt::Interrupt;

/// How often a wait checks the child; 50 wake-ups a second cost a benchmark less than its noise.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The most output read back from a child.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;

/// How a wait for a child ended; the child runs on unless it exited.
#[derive(Debug)]
pub(crate) enum Ending {
    Exited(ExitStatus),
    TimedOut,
    Interrupted,
}

/// A child process and its output.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    pid: Pid,
    output: File,
}

impl Child {
    /// Starts `command` and collects both output streams for [`Child::output`].
    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = tempfile::tempfile().context("could not create a temporary file")?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .process_group(0);
        let process = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => anyhow!("`{program}` is not installed, or its folder is missing"),
            _ => anyhow!(error).context(format!("could not start `{program}`")),
        })?;
        let pid = Pid::from_child(&process);
        Ok(Self { process, pid, output })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether the process has ended; keeps its `/proc` files until it is dropped.
    pub(crate) fn has_ended(&self) -> Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(rustix::process::waitid(WaitId::Pid(self.pid), options)?.is_some())
    }

    /// Waits until the process ends, for at most `timeout`.
    pub(crate) fn wait(&mut self, timeout: Duration, interrupt: &Interrupt) -> Result<Ending> {
        match self.wait_unreaped(timeout, interrupt)? {
            None => Ok(Ending::Exited(self.process.wait()?)),
            Some(ending) => Ok(ending),
        }
    }

    /// Waits until the process ends and keeps its `/proc` files; returns `None` once it has ended.
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

    /// Sends SIGTERM to the group and waits for the process, for at most `timeout`.
    pub(crate) fn terminate(&self, timeout: Duration) -> Result<()> {
        rustix::process::kill_process_group(self.pid, Signal::TERM)?;
        self.wait_unreaped(timeout, &Interrupt::default())?;
        Ok(())
    }

    /// Returns the output so far, of both streams.
    pub(crate) fn output(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        self.output.seek(SeekFrom::Start(0))?;
        (&self.output).take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns the output line that most likely names the error: the first that starts with "error", or the last.
    pub(crate) fn error_line(&mut self) -> String {
        let output = self.output().unwrap_or_default();
        let mut lines = output.lines().map(str::trim).filter(|line| !line.is_empty());
        let is_error = |line: &&str| line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"));
        let error = lines.clone().find(is_error);
        error
            .or_else(|| lines.next_back())
            .unwrap_or("it printed no output")
            .to_owned()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // ESRCH if the process and its helpers have ended already.
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
        assert_eq!(child.error_line(), "error: broken");
    }

    #[test]
    fn error_line_is_the_first_error_in_any_case_or_the_last_line() {
        let error_line = |script| {
            let mut child = shell(script);
            child.wait(Duration::from_secs(60), &Interrupt::default()).unwrap();
            child.error_line()
        };
        assert_eq!(error_line("echo '  Error: no leave'; echo usage"), "Error: no leave");
        assert_eq!(error_line("echo one; echo; echo ünd; echo"), "ünd");
        assert_eq!(error_line("exit 1"), "it printed no output");
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
    fn terminated_process_may_clean_up() {
        let mut child = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
        while child.output().unwrap() != "ready\n" {
            thread::yield_now();
        }
        child.terminate(Duration::from_secs(60)).unwrap();
        assert!(child.has_ended().unwrap());
        // The shell also prints that its `sleep` was terminated.
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
