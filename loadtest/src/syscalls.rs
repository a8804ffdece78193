//! Counts a server's system calls with `perf stat`, enabled for the length of a window.
//!
//! Counting slows each call down, so it gets its own window and no other figure is measured there. Some machines forbid
//! it; [`check`] reports that before the comparison starts.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::child::{Child, Ending};
use crate::interrupt::Interrupt;

/// The kernel tracepoint at the entry of each system call.
const EVENT: &str = "raw_syscalls:sys_enter";

/// The longest time for perf to carry out a command.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the acknowledgement pipe is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Fails if this machine cannot count system calls; the error says how to enable it.
pub(crate) fn check() -> Result<()> {
    let mut counter = Counter::attach(&[rustix::process::getpid()])?;
    counter.enable()?;
    counter.disable()?;
    counter.finish()?;
    Ok(())
}

/// A perf process attached to the server.
#[derive(Debug)]
pub(crate) struct Counter {
    perf: Child,
    control: File,
    acknowledged: File,
    _pipes: TempDir,
}

impl Counter {
    /// Attaches to `pids` and to each thread they start later; counting is off.
    pub(crate) fn attach(pids: &[Pid]) -> Result<Self> {
        let pipes = tempfile::tempdir().context("could not create a temporary folder")?;
        let (control, acknowledged) = (pipes.path().join("control"), pipes.path().join("acknowledged"));
        let pids: Vec<String> = pids.iter().map(|pid| pid.as_raw_pid().to_string()).collect();
        let mut command = Command::new("perf");
        command.args(["stat", "--field-separator=,", "--delay=-1", "--event", EVENT]);
        command.arg(format!(
            "--control=fifo:{},{}",
            control.display(),
            acknowledged.display()
        ));
        command.args(["--pid", &pids.join(",")]);
        // Other locales print separators in numbers.
        command.env("LC_ALL", "C");
        // Open both ends before perf starts: perf blocks on opening a pipe without a peer.
        let [control, acknowledged] = [open_pipe(&control)?, open_pipe(&acknowledged)?];
        let perf = Child::spawn(command).context("install perf (Debian: linux-perf, Ubuntu: linux-tools-generic)")?;
        let mut counter = Self {
            perf,
            control,
            acknowledged,
            _pipes: pipes,
        };
        // perf acknowledges commands only after it has attached.
        counter.tell("disable")?;
        Ok(counter)
    }

    /// Starts counting.
    pub(crate) fn enable(&mut self) -> Result<()> {
        self.tell("enable")
    }

    /// Stops counting.
    pub(crate) fn disable(&mut self) -> Result<()> {
        self.tell("disable")
    }

    /// Ends perf and returns the number of system calls.
    pub(crate) fn finish(mut self) -> Result<u64> {
        rustix::process::kill_process(self.perf.pid(), Signal::INT)?;
        match self.perf.wait(PATIENCE, &Interrupt::default())? {
            Ending::Exited(_) => count_in(&self.perf.output()?),
            Ending::TimedOut | Ending::Interrupted => bail!("perf did not end within {} s", PATIENCE.as_secs()),
        }
    }

    /// Sends a command and waits for its acknowledgement.
    fn tell(&mut self, command: &str) -> Result<()> {
        writeln!(self.control, "{command}")?;
        let deadline = Instant::now() + PATIENCE;
        let mut answer = Vec::new();
        // "ack\n", in later versions followed by a zero byte.
        while !answer.contains(&b'\n') {
            ensure!(
                Instant::now() < deadline,
                "perf did not answer within {} s",
                PATIENCE.as_secs()
            );
            let mut buffer = [0; 16];
            match self.acknowledged.read(&mut buffer) {
                Ok(count) => answer.extend(buffer.iter().take(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.perf.has_ended()? {
                        return Err(anyhow!("perf: {}", self.perf.error_line()));
                    }
                    thread::sleep(POLL_INTERVAL);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Creates a named pipe and opens it for reading and writing, so that opening does not block and perf's exit does not
/// end it.
fn open_pipe(path: &Path) -> Result<File> {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).context("could not make a pipe")?;
    let flags = OFlags::NONBLOCK.bits();
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(flags.cast_signed())
        .open(path)?;
    Ok(file)
}

/// Parses the count in perf's output: `123,,raw_syscalls:sys_enter,…`.
fn count_in(output: &str) -> Result<u64> {
    let line = output.lines().find(|line| line.contains(EVENT));
    let line = line.with_context(|| format!("perf printed no count: {}", output.trim()))?;
    let count = line.split(',').next().unwrap_or_default();
    // perf prints this if no thread ran in the window, as with an idle server.
    if count == "<not counted>" {
        return Ok(0);
    }
    count.parse().with_context(|| format!("perf counted `{count}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_is_found_among_other_lines() {
        let output = "Events enabled\n1234,,raw_syscalls:sys_enter,900,100.00,,\n\n";
        assert_eq!(count_in(output).unwrap(), 1234);
        assert_eq!(count_in("<not counted>,,raw_syscalls:sys_enter,0,,,\n").unwrap(), 0);
        for (output, mistake) in [
            ("", "no count"),
            ("<not supported>,,raw_syscalls:sys_enter,0,,,\n", "<not supported>"),
        ] {
            let error = format!("{:#}", count_in(output).unwrap_err());
            assert!(error.contains(mistake), "{error}");
        }
    }

    /// Where perf is forbidden, this test only checks the error.
    #[test]
    fn only_calls_between_enable_and_disable_are_counted() {
        if let Err(reason) = check() {
            eprintln!("not tested: {reason:#}");
            return;
        }
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]);
        let idle = Child::spawn(command).unwrap();
        let mut counter = Counter::attach(&[idle.pid()]).unwrap();
        counter.enable().unwrap();
        counter.disable().unwrap();
        assert!(counter.finish().unwrap() < 1000, "the loop makes no calls of its own");
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do : </dev/null; done"]);
        let busy = Child::spawn(command).unwrap();
        let mut counter = Counter::attach(&[busy.pid()]).unwrap();
        let used = |pid| crate::proc::RunTime::read(pid).unwrap().running;
        counter.enable().unwrap();
        let before = used(busy.pid());
        while used(busy.pid()) < before + Duration::from_millis(20) {
            thread::yield_now();
        }
        counter.disable().unwrap();
        assert!(
            counter.finish().unwrap() > 1000,
            "three calls for every turn of the loop"
        );
    }
}
