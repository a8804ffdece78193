//! One build: the command, its output on the terminal, and what of it the browser will show.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, PipeReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use squall_shards::StandardError;

use super::ansi;
use super::event::{BuildResult, Event, Events};

/// Most bytes of the output that are kept. 256 KiB: thousands of lines, of which the first errors matter.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// Most bytes of one line that are copied at once; longer lines are copied in pieces.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// A build that runs.
#[derive(Debug)]
pub(super) struct Build {
    /// The group of the processes that the build consists of.
    group: Pid,
}

impl Build {
    /// Starts a build, whose end becomes an event.
    ///
    /// # Errors
    ///
    /// The command cannot be started.
    pub(super) fn start(mut command: Command, events: Events) -> io::Result<Self> {
        let (output, input) = io::pipe()?;
        command
            .env("CARGO_TERM_COLOR", "always")
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
            .env("CARGO_TERM_HYPERLINKS", "false")
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input)
            // A signal of the terminal is for the supervisor, which ends the whole group.
            .process_group(0);
        let child = command.spawn()?;
        // The command holds the other end of the pipe, so that reading it would not end.
        drop(command);
        let group = Pid::from_child(&child);
        let finish = move || {
            let result = finish(child, output);
            // Fails once the supervisor has ended.
            events.send(Event::Built(result)).unwrap_or_default();
        };
        thread::Builder::new().name("squall-build".to_owned()).spawn(finish)?;
        Ok(Self { group })
    }

    /// Ends a build, with the compilers that it has started.
    pub(super) fn end(&self) {
        // The build may have ended by itself.
        kill_process_group(self.group, Signal::TERM).unwrap_or_default();
    }
}

/// Copies the output to standard error until the build has ended.
fn finish(mut child: Child, output: PipeReader) -> BuildResult {
    let is_terminal = io::stderr().is_terminal();
    let mut output = BufReader::new(output);
    let mut kept = String::new();
    let mut line = Vec::new();
    while let Ok(1..) = output.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        let shown = if is_terminal {
            text.to_string()
        } else {
            ansi::plain(&text)
        };
        // A terminal that is gone does not end the build.
        StandardError.write_all(shown.as_bytes()).unwrap_or_default();
        if kept.len() + text.len() <= OUTPUT_BYTES_MAX {
            kept.push_str(&text);
        }
        line.clear();
    }
    BuildResult {
        has_passed: child.wait().is_ok_and(|status| status.success()),
        output: kept,
    }
}
