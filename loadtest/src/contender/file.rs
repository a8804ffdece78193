//! `contender.toml`, word for word. A word it does not know is a mistake and not a comment.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::{Contender, File, LISTEN_PLACEHOLDER, Requirement, SCRATCH_PLACEHOLDER, Service, Stop, Version};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContenderFile {
    pub(super) name: String,
    /// The version, or the command that prints it; one of the two.
    pub(super) version: Option<String>,
    version_command: Option<Vec<String>>,
    /// The package of the contender's `Cargo.lock` that `version` is the version of; a test holds the two together.
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
    /// Path that answers with a JSON object in which `missed` is how many messages its subscribers missed.
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
    /// Further arguments, which a variant replaces by its own.
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
    /// What it serves, if that is less than the main contender does.
    serves: Option<Vec<Service>>,
    /// Whether it runs on both cores, beside the load.
    #[serde(default)]
    both_cores: bool,
}

fn http_alone() -> Vec<Service> {
    vec![Service::Http]
}

fn with(command: &[String], arguments: Vec<String>) -> Vec<String> {
    command.iter().cloned().chain(arguments).collect()
}

impl ContenderFile {
    /// The contender and its variants.
    pub(super) fn into_contenders(self, folder: &Path) -> Result<Vec<Contender>> {
        let (build, hint) = match self.build {
            None => (Vec::new(), None),
            Some(build) => {
                ensure!(!build.command.is_empty(), "the build command is empty");
                (build.command, build.hint)
            }
        };
        ensure!(!self.serves.is_empty(), "it serves nothing");
        for file in &self.files {
            let is_plain = Path::new(&file.name)
                .file_name()
                .is_some_and(|name| name == file.name.as_str());
            ensure!(is_plain, "`{}` is not the name of a file", file.name);
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
            "the start command does not say {SCRATCH_PLACEHOLDER}, so nobody finds the files"
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
        Ok(std::iter::once(main).chain(variants).collect())
    }
}
