//! A contender: a server to find or build, start, probe and stop, as its `contender.toml` says it.
//!
//! One file may declare variants, which are the same program started with other arguments and count as contenders of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::child::{Child, Ending};
use crate::interrupt::Interrupt;
use crate::measurement::Cores;
use crate::record::Participant;

mod file;
mod requirement;
mod version;

use file::ContenderFile;
use requirement::Requirement;
use version::Version;

/// The longest a build may take; actix-web needs under a minute on two cores.
const BUILD_TIMEOUT: Duration = Duration::from_secs(1800);

/// What stands for the address in a start command and in the files it is given.
pub(crate) const LISTEN_PLACEHOLDER: &str = "{listen}";

/// What stands for the folder that a running server has to itself.
const SCRATCH_PLACEHOLDER: &str = "{scratch}";

/// A server that can be started. Paths in its commands are relative to `directory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) note: String,
    /// What to do when it cannot be built or started.
    pub(crate) hint: Option<String>,
    /// Path that answers 200 once the server is ready.
    pub(crate) ready_path: String,
    pub(crate) stop: Stop,
    /// Files that a start puts into the scratch folder: their names and contents.
    pub(crate) files: Vec<File>,
    /// Where it tells what it counts of its topics, if it does.
    pub(crate) statistics_path: Option<String>,
    /// Whether it also runs on the core of the load.
    pub(crate) spans_cores: bool,
    serves: Vec<Service>,
    requires: Vec<Requirement>,
    version: Version,
    /// Empty if there is nothing to build.
    build: Vec<String>,
    /// The start command, with placeholders.
    command: Vec<String>,
    directory: PathBuf,
}

/// What a server can do, and so which workloads it takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Service {
    /// `GET /plaintext` and `GET /json` over HTTP/1.1.
    Http,
    /// `/ws/echo` sends every WebSocket message back.
    WebsocketEcho,
    /// What is sent to `/ws/pub` reaches everybody on `/ws/sub`.
    WebsocketFanOut,
}

/// A file that a server is started with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Its name in the scratch folder, without a path.
    pub(crate) name: String,
    /// Its text, with placeholders.
    pub(crate) content: String,
}

/// How a server is ended when its window is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Stop {
    /// At once: a server that keeps nothing has nothing to lose.
    #[default]
    Kill,
    /// By SIGTERM, and by SIGKILL if that takes longer than a second.
    Term,
}

impl Contender {
    /// Reads the form in `folder/contender.toml`: the contender itself, then its variants.
    pub(crate) fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let form: ContenderFile = toml::from_str(&std::fs::read_to_string(folder.join("contender.toml"))?)?;
        let folder_name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        ensure!(
            form.name == folder_name,
            "its name is `{}`, but its folder is `{folder_name}`",
            form.name
        );
        form.into_contenders(folder)
    }

    pub(crate) fn serves(&self, service: Service) -> bool {
        self.serves.contains(&service)
    }

    /// Fails with the first thing it needs that is not installed.
    pub(crate) fn check_requirements(&self) -> Result<()> {
        self.requires.iter().try_for_each(Requirement::check)
    }

    /// Builds the server, in silence unless that fails. One without a build command is there already.
    pub(crate) fn build(&self, interrupt: &Interrupt) -> Result<()> {
        let Some((program, arguments)) = self.build.split_first() else {
            return Ok(());
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.directory);
        let mut child = Child::spawn(command)?;
        match child.wait(BUILD_TIMEOUT, interrupt)? {
            Ending::Exited(status) if status.success() => Ok(()),
            Ending::Exited(status) => bail!("the build failed ({status}): {}", child.complaint()),
            Ending::TimedOut => bail!("the build took longer than {} minutes", BUILD_TIMEOUT.as_secs() / 60),
            Ending::Interrupted => bail!("the build was interrupted"),
        }
    }

    pub(crate) fn needs_build(&self) -> bool {
        !self.build.is_empty()
    }

    /// The command that builds it; variants of one program share it.
    pub(crate) fn build_key(&self) -> (&Path, &[String]) {
        (&self.directory, &self.build)
    }

    /// Fails if the program was not built, as far as a file tells; a program without a folder is looked up when it starts.
    pub(crate) fn check_built(&self) -> Result<()> {
        let program = self.command.first().context("the start command is empty")?;
        let is_there = !program.contains('/') || self.directory.join(program).is_file();
        ensure!(is_there, "{program} has not been built");
        Ok(())
    }

    /// How a record names it. Asks an installed program for its version.
    pub(crate) fn participant(&self) -> Participant {
        Participant {
            name: self.name.clone(),
            version: self.version.resolve(&self.directory),
            note: self.note.clone(),
            build_command: self.build.clone(),
            command: self.command.clone(),
        }
    }

    /// The command that starts the server on `address`, pinned to the core of servers or, if it spans both, to both, with `scratch` as its own
    /// folder.
    pub(crate) fn start_command(&self, address: SocketAddr, cores: Cores, scratch: &Path) -> Command {
        let mut command = Command::new("taskset");
        let pinned = match self.spans_cores {
            true => format!("{},{}", cores.server, cores.load),
            false => cores.server.to_string(),
        };
        command.args(["-c", &pinned]);
        command.args(self.command.iter().map(|word| fill_in(word, address, scratch)));
        command
            .current_dir(&self.directory)
            .env("PATH", requirement::search_path());
        command
    }
}

/// Puts the address and the scratch folder where `text` wants them.
pub(crate) fn fill_in(text: &str, address: SocketAddr, scratch: &Path) -> String {
    text.replace(LISTEN_PLACEHOLDER, &address.to_string())
        .replace(SCRATCH_PLACEHOLDER, &scratch.display().to_string())
}

#[cfg(test)]
mod tests;
