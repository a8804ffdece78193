//! One run of the program: started with the supervisor's sockets, asked to stop, and waited for.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use squall_shards::{InheritedListener, hand_over};

use super::event::{Event, Events};
use super::supervised::SUPERVISOR;

/// A program that runs.
#[derive(Debug)]
pub(super) struct Program {
    /// The number of this run, from 1 on.
    pub(super) run: u64,
    /// Names this process even after it has ended and its number belongs to another.
    process: OwnedFd,
    #[expect(
        dead_code,
        reason = "the program reads the end of this stream when the supervisor ends"
    )]
    reports: UnixStream,
}

impl Program {
    /// Starts the executable with the arguments of this process; its events follow.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(super) fn start(
        run: u64,
        executable: &Path,
        sockets: &[InheritedListener],
        events: &Events,
    ) -> io::Result<Self> {
        let (reports, standard_input) = UnixStream::pair()?;
        let mut command = Command::new(executable);
        command
            .args(std::env::args_os().skip(1))
            .env(SUPERVISOR, std::process::id().to_string())
            .stdin(OwnedFd::from(standard_input))
            // The terminal's signals are for the supervisor, which passes them on once.
            .process_group(0);
        let handed_over = hand_over(&mut command, sockets)?;
        let mut child = command.spawn()?;
        drop(handed_over);
        // The command holds a copy of the program's standard input, which would hide its end.
        drop(command);
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let (mut listening, sender) = (reports.try_clone()?, events.clone());
        let await_listening = move || {
            if matches!(listening.read(&mut [0]), Ok(1..)) {
                // Fails once the supervisor has ended.
                sender.send(Event::Listening(run)).unwrap_or_default();
            }
        };
        let sender = events.clone();
        let await_end = move || {
            let end = match child.wait() {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            sender.send(Event::Ended(run, end)).unwrap_or_default();
        };
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        thread("squall-listens").spawn(await_listening)?;
        thread("squall-ends").spawn(await_end)?;
        Ok(Self { run, process, reports })
    }

    /// Asks the program to stop: gracefully, and at once when asked again.
    pub(super) fn stop(&self) {
        // It may have ended by itself.
        pidfd_send_signal(&self.process, Signal::TERM).unwrap_or_default();
    }
}
