//! A contender: a server that the orchestrator finds or builds, starts, probes and stops, as described by its
//! `contender.toml`.
//!
//! One file may declare variants: the same program with other arguments, each a contender of its own.

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

use requirement::Requirement;
use version::Version;

/// The longest a build may take; actix-web needs under a minute on two cores.
const BUILD_TIMEOUT: Duration = Duration::from_secs(1800);

/// The placeholder for the address, in start commands and files.
pub(crate) const LISTEN_PLACEHOLDER: &str = "{listen}";

/// The placeholder for the scratch folder of a running server.
const SCRATCH_PLACEHOLDER: &str = "{scratch}";

/// The placeholder for the served folder.
const FILES_PLACEHOLDER: &str = "{files}";

/// The placeholder for the address of the server behind a proxy.
const UPSTREAM_PLACEHOLDER: &str = "{upstream}";

/// What the placeholders stand for at one start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) address: SocketAddr,
    /// The scratch folder, of this start alone.
    pub(crate) scratch: &'a Path,
    /// The folder of files to serve, of the whole comparison.
    pub(crate) files: &'a Path,
    /// The server behind a proxy.
    pub(crate) upstream: Option<SocketAddr>,
}

/// A server under test; paths in its commands are relative to `directory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) note: String,
    /// What the user can do if it cannot be built or started.
    pub(crate) hint: Option<String>,
    /// The path that returns 200 once the server is ready.
    pub(crate) ready_path: String,
    pub(crate) stop: Stop,
    /// Files written into the scratch folder before each start.
    pub(crate) files: Vec<File>,
    /// The path of its topic statistics, if it has one.
    pub(crate) statistics_path: Option<String>,
    /// Whether it also runs on the load's core.
    pub(crate) spans_cores: bool,
    serves: Vec<Service>,
    requires: Vec<Requirement>,
    version: Version,
    /// The build command; empty for an installed program.
    build: Vec<String>,
    /// The start command, with placeholders.
    command: Vec<String>,
    directory: PathBuf,
}

/// A service of a server, which decides its workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Service {
    /// `GET /plaintext` and `GET /json` over HTTP/1.1.
    Http,
    /// `/ws/echo` returns each WebSocket message.
    WebsocketEcho,
    /// Each message sent to `/ws/pub` reaches all connections on `/ws/sub`.
    WebsocketFanOut,
    /// Each text message sent to `/ws/pub` is an event of all event streams at `/events`.
    EventStreamFanOut,
    /// The same as [`Http`](Self::Http) over TLS, with the ECDSA certificate of the scratch folder.
    Https,
    /// The same with the RSA certificate.
    HttpsRsa,
    /// Serves the files of the served folder at `/`.
    StaticFiles,
    /// The same over TLS, with the ECDSA certificate.
    StaticFilesTls,
    /// Serves the served folder's `page.html` at `/page.html`, compressed by gzip for each request that accepts it.
    GzipPage,
    /// `GET /page` is a page of 12 rows from a template.
    TemplatePage,
    /// `GET /plaintext` comes from the server behind the proxy.
    Proxy,
    /// `POST /upload` writes the content into the file `upload` of the scratch folder, and answers with its length.
    Upload,
}

/// A file written before a server starts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Its name in the scratch folder.
    pub(crate) name: String,
    /// Its text, with placeholders.
    pub(crate) content: String,
}

/// How a server is stopped after its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Stop {
    /// By SIGKILL: the servers here keep no state.
    #[default]
    Kill,
    /// By SIGTERM, then by SIGKILL after one second.
    Term,
}

impl Service {
    /// Whether it is over TLS.
    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::HttpsRsa | Self::StaticFilesTls)
    }
}

impl Contender {
    /// Whether it speaks TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.serves.iter().any(|service| service.is_secure())
    }

    /// Whether it is a proxy, which needs a server behind it.
    pub(crate) fn is_proxy(&self) -> bool {
        self.serves(Service::Proxy)
    }

    pub(crate) fn serves(&self, service: Service) -> bool {
        self.serves.contains(&service)
    }

    /// Fails with the first requirement that is not installed.
    pub(crate) fn check_requirements(&self) -> Result<()> {
        self.requires.iter().try_for_each(Requirement::check)
    }

    /// Builds the server, quietly unless that fails; does nothing without a build command.
    pub(crate) fn build(&self, interrupt: &Interrupt) -> Result<()> {
        let Some((program, arguments)) = self.build.split_first() else {
            return Ok(());
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.directory);
        let mut child = Child::spawn(command)?;
        match child.wait(BUILD_TIMEOUT, interrupt)? {
            Ending::Exited(status) if status.success() => Ok(()),
            Ending::Exited(status) => bail!("the build failed ({status}): {}", child.error_line()),
            Ending::TimedOut => bail!("the build took longer than {} minutes", BUILD_TIMEOUT.as_secs() / 60),
            Ending::Interrupted => bail!("the build was interrupted"),
        }
    }

    pub(crate) fn needs_build(&self) -> bool {
        !self.build.is_empty()
    }

    /// Identifies the build; variants of one program share it.
    pub(crate) fn build_key(&self) -> (&Path, &[String]) {
        (&self.directory, &self.build)
    }

    /// Fails if the program's file is missing; a program named without a folder is looked up in `PATH` at its start.
    pub(crate) fn check_built(&self) -> Result<()> {
        let program = self.command.first().context("the start command is empty")?;
        let is_there = !program.contains('/') || self.directory.join(program).is_file();
        ensure!(is_there, "{program} has not been built");
        Ok(())
    }

    /// Returns its entry in the record; runs an installed program to get its version.
    pub(crate) fn participant(&self) -> Participant {
        Participant {
            name: self.name.clone(),
            version: self.version.resolve(&self.directory),
            note: self.note.clone(),
            build_command: self.build.clone(),
            command: self.command.clone(),
        }
    }

    /// Returns the command that starts the server at `places`, pinned to the server's core or to both cores.
    pub(crate) fn start_command(&self, places: Places<'_>, cores: Cores) -> Command {
        let mut command = Command::new("taskset");
        let pinned = match self.spans_cores {
            true => format!("{},{}", cores.server, cores.load),
            false => cores.server.to_string(),
        };
        command.args(["-c", &pinned]);
        command.args(self.command.iter().map(|word| places.fill_in(word)));
        command
            .current_dir(&self.directory)
            .env("PATH", requirement::search_path());
        command
    }
}

impl Places<'_> {
    /// Replaces all placeholders in `text`.
    pub(crate) fn fill_in(&self, text: &str) -> String {
        text.replace(LISTEN_PLACEHOLDER, &self.address.to_string())
            .replace(SCRATCH_PLACEHOLDER, &self.scratch.display().to_string())
            .replace(FILES_PLACEHOLDER, &self.files.display().to_string())
            .replace(
                UPSTREAM_PLACEHOLDER,
                &self.upstream.map(|upstream| upstream.to_string()).unwrap_or_default(),
            )
    }
}

#[cfg(test)]
mod tests;
