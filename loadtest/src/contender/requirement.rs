//! A requirement of a contender that the orchestrator does not build: a program or a Python module.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use serde::Deserialize;

/// Folders with servers that a user's `PATH` often lacks.
const SERVER_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// A program or module, and how to install it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requirement {
    #[serde(flatten)]
    what: RequirementKind,
    /// How to install it.
    hint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RequirementKind {
    Program(String),
    PythonModule(String),
}

impl Requirement {
    /// Fails with the hint if it is not installed.
    pub(super) fn check(&self) -> Result<()> {
        let hint = &self.hint;
        match &self.what {
            RequirementKind::Program(program) => {
                ensure!(is_installed(program), "`{program}` is not installed ({hint})")
            }
            RequirementKind::PythonModule(module) => {
                ensure!(is_installed("python3"), "`python3` is not installed ({hint})");
                ensure!(imports(module), "Python has no module `{module}` ({hint})");
            }
        }
        Ok(())
    }
}

/// Returns the search path for contenders and requirements: `PATH`, then [`SERVER_FOLDERS`].
pub(super) fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SERVER_FOLDERS.map(PathBuf::from));
    // Joining cannot fail: split parts of `PATH` contain no separator.
    std::env::join_paths(folders).unwrap_or(path)
}

fn is_installed(program: &str) -> bool {
    std::env::split_paths(&search_path()).any(|folder| folder.join(program).is_file())
}

fn imports(module: &str) -> bool {
    let mut python = Command::new("python3");
    python.args([
        "-c",
        "import importlib, sys; importlib.import_module(sys.argv[1])",
        module,
    ]);
    python.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(form: &str) -> Requirement {
        toml::from_str(form).unwrap()
    }

    #[test]
    fn missing_requirement_is_named_with_its_hint() {
        requirement("program = 'sh'\nhint = 'buy a computer'").check().unwrap();
        let error = requirement("program = 'no-such-server'\nhint = 'apt-get install it'")
            .check()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`no-such-server` is not installed (apt-get install it)"
        );
        let error = requirement("python-module = 'no_such_module'\nhint = 'pip install it'")
            .check()
            .unwrap_err();
        assert!(error.to_string().ends_with("(pip install it)"), "{error}");
    }

    #[test]
    fn requirement_is_one_program_or_module_with_a_hint() {
        for (form, mistake) in [
            ("program = 'sh'", "hint"),
            ("hint = 'x'", "no variant"),
            ("program = 'a'\npython-module = 'b'\nhint = 'x'", "python-module"),
            ("ruby-gem = 'puma'\nhint = 'x'", "no variant"),
        ] {
            let error = toml::from_str::<Requirement>(form).unwrap_err().to_string();
            assert!(error.contains(mistake), "{form}: {error}");
        }
    }
}
