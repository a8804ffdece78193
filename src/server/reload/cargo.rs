//! How Cargo builds this program: the command, from the place of the executable in the target folder.
//!
//! `cargo run` gives the program the folder and the name of its package as variables. The path of the executable has the
//! rest: `target/[TRIPLE/]PROFILE/[examples/]NAME`. Features leave no trace, so a program that needs some names its own
//! command.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `cargo run` says of the package of this program.
#[derive(Debug, Clone)]
pub(super) struct Package {
    /// The folder of its `Cargo.toml`.
    pub(super) folder: PathBuf,
    name: OsString,
}

impl Package {
    /// Reads the variables of `cargo run`; `None` if the program was started otherwise.
    pub(super) fn of_this_program() -> Option<Self> {
        let folder = std::env::var_os("CARGO_MANIFEST_DIR")?.into();
        let name = std::env::var_os("CARGO_PKG_NAME")?;
        Some(Self { folder, name })
    }

    /// The command that builds an executable of this package; `None` if Cargo has not built it.
    pub(super) fn build(&self, executable: &Path) -> Option<Command> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(self.arguments(executable)?);
        Some(command)
    }

    fn arguments(&self, executable: &Path) -> Option<Vec<OsString>> {
        let (name, mut folder) = (executable.file_name()?, executable.parent()?);
        let mut kind = "--bin";
        if folder.file_name() == Some(OsStr::new("examples")) {
            (kind, folder) = ("--example", folder.parent()?);
        }
        let profile = match folder.file_name()? {
            // Cargo's folder for the profile `dev`.
            profile if profile == "debug" => OsStr::new("dev"),
            profile => profile,
        };
        let manifest = self.folder.join("Cargo.toml");
        let mut arguments: Vec<OsString> = vec!["build".into(), "--manifest-path".into(), manifest.into()];
        arguments.extend(["--package".into(), self.name.clone(), kind.into(), name.into()]);
        arguments.extend(["--profile".into(), profile.into()]);
        let above = folder.parent()?.file_name().and_then(OsStr::to_str);
        // A triple, such as `x86_64-unknown-linux-gnu`, has two or three dashes.
        if let Some(triple) = above.filter(|name| name.matches('-').count() >= 2) {
            arguments.extend(["--target".into(), triple.into()]);
        }
        Some(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_builds_the_target_profile_and_triple_that_the_path_names() {
        let package = Package {
            folder: "/p".into(),
            name: "app".into(),
        };
        for (executable, expected) in [
            ("/t/debug/web", "--bin web --profile dev"),
            ("/t/release/web", "--bin web --profile release"),
            ("/t/debug/examples/hello", "--example hello --profile dev"),
            (
                "/t/x86_64-unknown-linux-gnu/quick/web",
                "--bin web --profile quick --target x86_64-unknown-linux-gnu",
            ),
        ] {
            let arguments = package.arguments(Path::new(executable)).unwrap();
            let arguments: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
            let expected = format!("build --manifest-path /p/Cargo.toml --package app {expected}");
            assert_eq!(arguments.join(" "), expected);
        }
        assert_eq!(package.arguments(Path::new("/")), None);
    }
}
