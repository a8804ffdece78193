//! A contender's version: declared if built from a lock file, printed by the program if installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::requirement::search_path;

/// The source of the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Version {
    Declared(String),
    /// The first version number that this command prints.
    Printed(Vec<String>),
}

impl Version {
    pub(super) fn of(declared: Option<String>, command: Option<Vec<String>>) -> Result<Self> {
        match (declared, command) {
            (Some(version), None) => Ok(Self::Declared(version)),
            (None, Some(command)) if !command.is_empty() => Ok(Self::Printed(command)),
            (None, Some(_)) => bail!("version_command is empty"),
            _ => bail!("give either version or version_command, not both"),
        }
    }

    /// Returns the version, or `unknown` if the command prints none.
    pub(super) fn resolve(&self, directory: &Path) -> String {
        match self {
            Self::Declared(version) => version.clone(),
            Self::Printed(command) => ask(command, directory).unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

fn ask(command: &[String], directory: &Path) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", search_path())
        .current_dir(directory)
        .output()
        .ok()?;
    let printed = [output.stdout, output.stderr].concat();
    number_in(&String::from_utf8_lossy(&printed)).map(str::to_owned)
}

/// Returns the first number with a dot in `text`.
fn number_in(text: &str) -> Option<&str> {
    text.split(|character: char| !character.is_ascii_digit() && character != '.')
        .map(|piece| piece.trim_matches('.'))
        .find(|piece| piece.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_the_first_number_with_a_dot() {
        assert_eq!(number_in("nginx version: nginx/1.22.1\n"), Some("1.22.1"));
        assert_eq!(number_in("6.6.1"), Some("6.6.1"));
        assert_eq!(number_in("on 2 cores. Version v0.9-beta"), Some("0.9"));
        assert_eq!(number_in("no number at all. None"), None);
    }

    #[test]
    fn version_is_read_from_either_stream() {
        let asked = |script: &str| {
            let command = ["sh", "-c", script].map(str::to_owned).to_vec();
            Version::of(None, Some(command)).unwrap().resolve(Path::new("."))
        };
        assert_eq!(asked("echo server/1.2.3 >&2"), "1.2.3");
        assert_eq!(asked("exit 1"), "unknown");
    }

    #[test]
    fn version_has_exactly_one_source() {
        for (declared, command, mistake) in [
            (None, None, "give either version or version_command"),
            (Some("1".to_owned()), Some(vec!["x".to_owned()]), "not both"),
            (None, Some(Vec::new()), "version_command is empty"),
        ] {
            let error = Version::of(declared, command).unwrap_err().to_string();
            assert!(error.contains(mistake), "{error}");
        }
    }
}
