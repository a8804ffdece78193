//! A contender: a server to build, start and probe, as its `contender.toml` says it.
//!
//! One file may declare variants, which are the same program started with further arguments and count as contenders of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::child::{Child, Ending};
use crate::interrupt::Interrupt;

/// The longest a build may take; actix-web needs under a minute on two cores.
const BUILD_TIMEOUT: Duration = Duration::from_secs(1800);

/// What stands for the address in a start command.
const LISTEN_PLACEHOLDER: &str = "{listen}";

/// A server that can be built and started. Paths in its commands are relative to `directory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) note: String,
    /// What to do when it cannot be built.
    pub(crate) hint: Option<String>,
    /// The start command, with `{listen}` where the address goes.
    pub(crate) command: Vec<String>,
    /// Path that answers 200 once the server is ready.
    pub(crate) ready_path: String,
    #[serde(skip)]
    build: Vec<String>,
    #[serde(skip)]
    directory: PathBuf,
}

/// A contender that takes no part, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Skipped {
    pub(crate) name: String,
    pub(crate) reason: String,
    pub(crate) hint: Option<String>,
}

impl Contender {
    /// Reads the form in `folder/contender.toml`: the contender itself, then its variants.
    pub(crate) fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let form: Form = toml::from_str(&std::fs::read_to_string(folder.join("contender.toml"))?)?;
        let folder_name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        ensure!(
            form.name == folder_name,
            "its name is `{}`, but its folder is `{folder_name}`",
            form.name
        );
        form.into_contenders(folder)
    }

    /// Builds the server, in silence unless that fails.
    pub(crate) fn build(&self, interrupt: &Interrupt) -> Result<()> {
        let (program, arguments) = self.build.split_first().context("the build command is empty")?;
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

    /// Fails if the program was not built, as far as a file tells; a program without a folder is looked up when it starts.
    pub(crate) fn check_built(&self) -> Result<()> {
        let program = self.command.first().context("the start command is empty")?;
        let is_there = !program.contains('/') || self.directory.join(program).is_file();
        ensure!(is_there, "{program} has not been built");
        Ok(())
    }

    /// The command that starts the server on `address`, pinned to `core`.
    pub(crate) fn start_command(&self, address: SocketAddr, core: usize) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string()]);
        command.args(
            self.command
                .iter()
                .map(|word| word.replace(LISTEN_PLACEHOLDER, &address.to_string())),
        );
        command.current_dir(&self.directory);
        command
    }
}

/// `contender.toml`, word for word.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: String,
    version: String,
    /// The package of the contender's `Cargo.lock` that `version` is the version of; a test holds the two together.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by the test that compares it with Cargo.lock")
    )]
    package: Option<String>,
    note: String,
    directory: PathBuf,
    build: BuildForm,
    start: StartForm,
    ready: ReadyForm,
    #[serde(default)]
    variants: Vec<VariantForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildForm {
    command: Vec<String>,
    hint: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartForm {
    command: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadyForm {
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantForm {
    name: String,
    note: String,
    arguments: Vec<String>,
}

impl Form {
    fn into_contenders(self, folder: &Path) -> Result<Vec<Contender>> {
        ensure!(!self.build.command.is_empty(), "the build command is empty");
        ensure!(
            self.start.command.iter().any(|word| word.contains(LISTEN_PLACEHOLDER)),
            "the start command has no {LISTEN_PLACEHOLDER}"
        );
        let main = Contender {
            name: self.name,
            version: self.version,
            note: self.note,
            hint: self.build.hint,
            command: self.start.command,
            ready_path: self.ready.path,
            build: self.build.command,
            directory: folder.join(self.directory),
        };
        let variants = self.variants.into_iter().map(|variant| {
            let command = main.command.iter().cloned().chain(variant.arguments).collect();
            Contender {
                name: variant.name,
                note: variant.note,
                command,
                ..main.clone()
            }
        });
        let variants: Vec<Contender> = variants.collect();
        Ok(std::iter::once(main).chain(variants).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = r#"
        name = "quick"
        version = "1.2.3"
        note = "as documented"
        directory = "."
        [build]
        command = ["cargo", "build"]
        hint = "install cargo"
        [start]
        command = ["target/quick", "--listen={listen}"]
        [ready]
        path = "/up"
        [[variants]]
        name = "quick-spin"
        note = "spinning"
        arguments = ["--spin", "50us"]
    "#;

    fn contenders(form: &str) -> Result<Vec<Contender>> {
        toml::from_str::<Form>(form)?.into_contenders(Path::new("contenders/quick"))
    }

    #[test]
    fn variants_are_contenders_with_further_arguments() {
        let contenders = contenders(FORM).unwrap();
        let [main, variant] = contenders.as_slice() else {
            panic!("{contenders:?}")
        };
        assert_eq!(variant.name, "quick-spin");
        assert_eq!(variant.note, "spinning");
        assert_eq!(variant.version, main.version);
        assert_eq!(variant.command, ["target/quick", "--listen={listen}", "--spin", "50us"]);
    }

    #[test]
    fn start_command_names_the_address_and_the_core() {
        let contender = contenders(FORM).unwrap().remove(0);
        let address = "127.0.0.1:8888".parse().unwrap();
        let words = |command: &Command| -> Vec<String> {
            std::iter::once(command.get_program())
                .chain(command.get_args())
                .map(|word| word.to_string_lossy().into_owned())
                .collect()
        };
        let pinned = contender.start_command(address, 3);
        assert_eq!(
            words(&pinned),
            ["taskset", "-c", "3", "target/quick", "--listen=127.0.0.1:8888"]
        );
        assert_eq!(pinned.get_current_dir(), Some(Path::new("contenders/quick/.")));
    }

    #[test]
    fn program_that_was_not_built_is_noticed() {
        let error = contenders(FORM).unwrap().remove(0).check_built().unwrap_err();
        assert_eq!(error.to_string(), "target/quick has not been built");
        let installed = FORM.replace("target/quick", "nginx");
        assert!(contenders(&installed).unwrap().remove(0).check_built().is_ok());
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, mistake) in [
            ("--listen={listen}", "--listen=:80", "{listen}"),
            ("[\"cargo\", \"build\"]", "[]", "build command is empty"),
            ("hint =", "hnit =", "hnit"),
        ] {
            let error = contenders(&FORM.replace(from, to)).unwrap_err();
            assert!(format!("{error:#}").contains(mistake), "{error:#}");
        }
    }

    /// A contender's declared version is the one its lock file builds.
    #[test]
    fn committed_versions_are_the_locked_ones() {
        #[derive(Deserialize)]
        struct Lock {
            package: Vec<Package>,
        }
        #[derive(Deserialize)]
        struct Package {
            name: String,
            version: String,
        }
        let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("contenders");
        let mut compared = 0;
        for folder in std::fs::read_dir(folders).unwrap() {
            let folder = folder.unwrap().path();
            let form: Form = toml::from_str(&std::fs::read_to_string(folder.join("contender.toml")).unwrap()).unwrap();
            let Some(package) = form.package else { continue };
            let lock = folder.join(&form.directory).join("Cargo.lock");
            let lock: Lock = toml::from_str(&std::fs::read_to_string(lock).unwrap()).unwrap();
            let locked = lock.package.iter().find(|locked| locked.name == package);
            assert_eq!(
                locked.map(|locked| locked.version.as_str()),
                Some(form.version.as_str()),
                "{}",
                form.name
            );
            compared += 1;
        }
        assert!(compared > 0);
    }
}
