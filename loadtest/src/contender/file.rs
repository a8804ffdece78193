//! The schema of `contender.toml`; an unknown key is an error.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::{Contender, File, LISTEN_PLACEHOLDER, Requirement, SCRATCH_PLACEHOLDER, Service, Stop, Version};

/// A parsed `contender.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContenderFile {
    pub(super) name: String,
    /// The version; either this or `version_command`.
    pub(super) version: Option<String>,
    version_command: Option<Vec<String>>,
    /// The package in the contender's `Cargo.lock` that has this version; a test compares the two.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by the test that compares it with Cargo.lock")
    )]
    pub(super) package: Option<String>,
    note: String,
    pub(super) directory: PathBuf,
    #[serde(default = "http_alone")]
    serves: Vec<Service>,
    #[serde(default)]
    requires: Vec<Requirement>,
    /// The path of a JSON object whose `missed` counts the messages its subscribers missed.
    statistics: Option<String>,
    build: Option<BuildSection>,
    start: StartSection,
    ready: ReadySection,
    #[serde(default)]
    stop: StopSection,
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    variants: Vec<VariantSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildSection {
    command: Vec<String>,
    hint: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartSection {
    command: Vec<String>,
    /// Further arguments; a variant replaces them.
    #[serde(default)]
    arguments: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadySection {
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StopSection {
    signal: Stop,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantSection {
    name: String,
    note: String,
    arguments: Vec<String>,
    /// Its services, if fewer than the main contender's.
    serves: Option<Vec<Service>>,
    /// Whether it also runs on the load's core.
    #[serde(default)]
    both_cores: bool,
}

fn http_alone() -> Vec<Service> {
    vec![Service::Http]
}

fn with(command: &[String], arguments: Vec<String>) -> Vec<String> {
    command.iter().cloned().chain(arguments).collect()
}

impl Contender {
    /// Reads `folder/contender.toml`; returns the contender, then its variants.
    pub(crate) fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let file: ContenderFile = toml::from_str(&std::fs::read_to_string(folder.join("contender.toml"))?)?;
        let folder_name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        ensure!(
            file.name == folder_name,
            "its name is `{}`, but its folder is `{folder_name}`",
            file.name
        );
        file.into_contenders(folder)
    }
}

impl ContenderFile {
    /// Returns the contender and its variants.
    pub(super) fn into_contenders(self, folder: &Path) -> Result<Vec<Contender>> {
        let (build, hint) = match self.build {
            None => (Vec::new(), None),
            Some(build) => {
                ensure!(!build.command.is_empty(), "the build command is empty");
                (build.command, build.hint)
            }
        };
        ensure!(!self.serves.is_empty(), "its list `serves` is empty");
        for file in &self.files {
            let is_plain = Path::new(&file.name)
                .file_name()
                .is_some_and(|name| name == file.name.as_str());
            ensure!(is_plain, "`{}` is not a file name", file.name);
        }
        let texts = self
            .start
            .command
            .iter()
            .chain(self.files.iter().map(|file| &file.content));
        ensure!(
            texts.into_iter().any(|text| text.contains(LISTEN_PLACEHOLDER)),
            "neither the start command nor a file has {LISTEN_PLACEHOLDER}"
        );
        ensure!(
            self.files.is_empty() || self.start.command.iter().any(|word| word.contains(SCRATCH_PLACEHOLDER)),
            "the start command lacks {SCRATCH_PLACEHOLDER}, so the server cannot find its files"
        );
        let main = Contender {
            name: self.name,
            note: self.note,
            hint,
            ready_path: self.ready.path,
            stop: self.stop.signal,
            files: self.files,
            statistics_path: self.statistics,
            spans_cores: false,
            serves: self.serves,
            requires: self.requires,
            version: Version::of(self.version, self.version_command)?,
            build,
            command: with(&self.start.command, self.start.arguments),
            directory: folder.join(self.directory),
        };
        let variants = self.variants.into_iter().map(|variant| Contender {
            name: variant.name,
            note: variant.note,
            command: with(&self.start.command, variant.arguments),
            serves: variant.serves.unwrap_or_else(|| main.serves.clone()),
            spans_cores: variant.both_cores,
            ..main.clone()
        });
        let variants: Vec<Contender> = variants.collect();
        let contenders: Vec<Contender> = std::iter::once(main).chain(variants).collect();
        for contender in &contenders {
            let mut services = contender.serves.iter().map(|service| service.is_secure());
            let first = services.next();
            ensure!(
                services.all(|is_secure| Some(is_secure) == first),
                "some services of {} are over TLS and others are not; make two variants of it",
                contender.name
            );
        }
        Ok(contenders)
    }
}
