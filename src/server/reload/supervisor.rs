//! The supervisor: what it does when sources change, a build ends, a program listens or ends, and a signal comes.
//!
//! One thread decides, and all others only send it events. So each event finds the effects of the one before.
//!
//! A program serves until the next one listens. While the sources do not build, or the program has ended by itself, a
//! page with the reason answers in its place.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use squall_shards::{InheritedListener, StopSignals};

use super::build::Build;
use super::cargo::Package;
use super::event::{BuildResult, Event, Events};
use super::page::{PagePlace, Serve, Trouble, TroublePage};
use super::program::Program;
use super::sources::Sources;
use crate::error::{Error, Result};
use crate::server::config::OwnSettings;
use crate::server::operator_log;

/// Most events that wait. 64: a thread that has more to say waits itself.
const EVENTS_MAX: usize = 64;

/// Runs programs on these sockets until a signal asks it to stop; `serve` shows pages in their place.
///
/// # Errors
///
/// The package of the program is unknown, or the kernel refuses watches, threads or processes.
pub(in crate::server) fn supervise(own: OwnSettings, sockets: Vec<InheritedListener>, serve: Serve) -> Result {
    let executable = std::env::current_exe()?;
    let package = Package::of_this_program();
    let folder = package.as_ref().map(|package| package.folder.clone());
    let builder = Builder {
        executable: executable.clone(),
        package,
        command: own.reload_command,
    };
    // Reported at the start rather than with the first change.
    builder.command()?;
    let folder = folder.map_or_else(std::env::current_dir, Ok)?;
    let (events, received) = sync_channel(EVENTS_MAX);
    let sources = Sources::watch(&executable, folder, !own.autoreload_templates).map_err(|error| {
        Error::new(format!(
            "could not watch the sources: {error}; raise fs.inotify.max_user_instances"
        ))
    })?;
    watch(sources, events.clone())?;
    let stop = events.clone();
    let _signals = StopSignals::listen(move |_| stop.send(Event::Stop).unwrap_or_default(), None::<fn()>)?;
    let mut supervisor = Supervisor {
        builder,
        place: PagePlace { sockets, serve },
        events,
        runs: 0,
        starting: None,
        serving: None,
        ending: Vec::new(),
        started: None,
        build: None,
        has_changed: false,
        page: None,
        is_stopping: false,
    };
    supervisor.start_program();
    supervisor.run(&received);
    Ok(())
}

/// Sends an event for each change.
fn watch(mut sources: Sources, events: Events) -> io::Result<()> {
    let watch = move || {
        loop {
            let changed = match sources.next_change() {
                Ok(changed) => changed,
                Err(error) => {
                    tracing::error!(%error, "could not watch the sources any more; restart the program by hand");
                    break;
                }
            };
            if events.send(Event::Changed(changed)).is_err() {
                // The supervisor has ended.
                break;
            }
        }
    };
    thread::Builder::new().name("squall-sources".to_owned()).spawn(watch)?;
    Ok(())
}

/// How the program is built.
struct Builder {
    executable: std::path::PathBuf,
    /// `None` if `cargo run` has not started the program.
    package: Option<Package>,
    /// The command of the operator.
    command: Option<String>,
}

impl Builder {
    fn command(&self) -> Result<Command> {
        if let Some(line) = &self.command {
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            return Ok(command);
        }
        let command = self
            .package
            .as_ref()
            .and_then(|package| package.build(&self.executable));
        command.ok_or_else(|| {
            Error::new(
                "could not tell how to build this program: it was not started by `cargo run`; add --reload-command",
            )
        })
    }
}

/// Device, inode and time of change of the executable.
type Identity = (u64, u64, i64, i64);

struct Supervisor {
    builder: Builder,
    place: PagePlace,
    events: Events,
    /// How many programs and pages there have been.
    runs: u64,
    /// The program that does not listen yet.
    starting: Option<Program>,
    serving: Option<Program>,
    /// Programs that were asked to stop.
    ending: Vec<Program>,
    /// The executable as the latest program was started from it.
    started: Option<Identity>,
    build: Option<Build>,
    /// Whether a source has changed since the build began.
    has_changed: bool,
    page: Option<TroublePage>,
    is_stopping: bool,
}

impl Supervisor {
    /// Acts on events until the stop is complete.
    fn run(&mut self, events: &Receiver<Event>) {
        while !self.is_over() {
            let Ok(event) = events.recv() else { break };
            match event {
                Event::Changed(_) | Event::Built(_) if self.is_stopping => {}
                Event::Changed(_) if self.build.is_some() => self.has_changed = true,
                Event::Changed(path) => {
                    operator_log::reload(&format!("building, because {} has changed", path.display()));
                    self.start_build();
                }
                Event::Built(result) => self.built(result),
                Event::Listening(run) => self.listening(run),
                Event::Ended(run, end) => self.ended(run, &end),
                Event::Stop => self.stop(),
            }
        }
    }

    fn is_over(&self) -> bool {
        let has_program = self.starting.is_some() || self.serving.is_some() || !self.ending.is_empty();
        self.is_stopping && !has_program
    }

    fn start_build(&mut self) {
        self.has_changed = false;
        let started = self
            .builder
            .command()
            .and_then(|command| Ok(Build::start(command, self.events.clone())?));
        match started {
            Ok(build) => self.build = Some(build),
            Err(error) => self.fail(Trouble {
                title: "The build could not start",
                reason: error.to_string(),
                output: String::new(),
            }),
        }
    }

    fn built(&mut self, result: BuildResult) {
        self.build = None;
        if self.has_changed {
            // Its result belongs to sources that have been replaced.
            self.start_build();
            return;
        }
        if !result.has_passed {
            operator_log::reload("the build failed");
            self.fail(Trouble {
                title: "The build failed",
                reason: "The sources do not compile.".to_owned(),
                output: result.output,
            });
            return;
        }
        let is_new = self.identity() != self.started;
        if is_new || self.starting.is_none() && self.serving.is_none() {
            self.start_program();
        }
    }

    /// Starts the executable as it is now; the program that serves does so until the new one listens.
    fn start_program(&mut self) {
        if let Some(superseded) = self.starting.take() {
            self.end(superseded);
        }
        self.runs += 1;
        self.started = self.identity();
        match Program::start(self.runs, &self.builder.executable, &self.place.sockets, &self.events) {
            Ok(program) => self.starting = Some(program),
            Err(error) => self.fail(Trouble {
                title: "The program could not start",
                reason: error.to_string(),
                output: String::new(),
            }),
        }
    }

    fn identity(&self) -> Option<Identity> {
        let found = fs::metadata(&self.builder.executable).ok()?;
        Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
    }

    fn listening(&mut self, run: u64) {
        let Some(program) = self.starting.take_if(|program| program.run == run) else {
            return;
        };
        if let Some(replaced) = self.serving.replace(program) {
            self.end(replaced);
        }
        self.page = None;
    }

    fn ended(&mut self, run: u64, end: &str) {
        self.ending.retain(|program| program.run != run);
        let was_starting = self.starting.take_if(|program| program.run == run).is_some();
        let was_serving = self.serving.take_if(|program| program.run == run).is_some();
        if (was_starting || was_serving) && !self.is_stopping {
            operator_log::reload(&format!("the program has ended: {end}"));
            self.fail(Trouble {
                title: "The program has ended",
                reason: format!("It ended with {end}. The terminal has its last words."),
                output: String::new(),
            });
        }
    }

    /// Shows a page in the place of the programs.
    fn fail(&mut self, trouble: Trouble) {
        self.runs += 1;
        // The new page listens before the old one and the programs stop. Connections wait in the backlog meanwhile.
        match TroublePage::serve(&trouble, self.runs, &self.place) {
            Ok(page) => self.page = Some(page),
            Err(error) => operator_log::reload(&format!("could not show the reason in the browser: {error}")),
        }
        for program in [self.starting.take(), self.serving.take()].into_iter().flatten() {
            self.end(program);
        }
    }

    /// Stops a program gracefully, and at once the one before it.
    fn end(&mut self, program: Program) {
        self.ending.iter().for_each(Program::stop);
        program.stop();
        self.ending.push(program);
    }

    /// Stops everything: programs gracefully, and at once when asked again.
    fn stop(&mut self) {
        self.is_stopping = true;
        self.page = None;
        if let Some(build) = self.build.take() {
            build.end();
        }
        let programs = self.starting.iter().chain(&self.serving).chain(&self.ending);
        programs.for_each(Program::stop);
    }
}
