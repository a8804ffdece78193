//! The machine and the software a figure was taken on, without which the figure means nothing.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// What is known of this machine. What cannot be found out is left out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) is_virtual: bool,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: Option<String>,
    pub(crate) wrk: Option<String>,
    /// Commit of the repository, with `-dirty` when files differ from it.
    pub(crate) commit: Option<String>,
}

impl Machine {
    /// Looks at the machine; `directory` is somewhere in the repository.
    pub(crate) fn inspect(directory: &Path) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
        let flags = value(&cpuinfo, "flags").unwrap_or_default();
        let memory = value(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.strip_suffix(" kB")?.parse().ok());
        Self {
            cpu: value(&cpuinfo, "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores,
            is_virtual: flags.split(' ').any(|flag| flag == "hypervisor"),
            memory_mib: memory.unwrap_or(0u64) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rustc: first_line(Command::new("rustc").arg("--version")),
            wrk: crate::wrk::version().ok(),
            commit: commit(directory),
        }
    }

    /// One line for a person.
    pub(crate) fn describe(&self) -> String {
        let kind = if self.is_virtual {
            "virtual machine"
        } else {
            "bare metal, or a machine that does not say"
        };
        let mut parts = vec![
            format!("{}, {} cores, {} MiB ({kind})", self.cpu, self.cores, self.memory_mib),
            format!("Linux {}", self.kernel),
        ];
        parts.extend(self.rustc.clone());
        parts.extend(self.wrk.clone());
        parts.extend(self.commit.as_ref().map(|commit| format!("commit {commit}")));
        parts.join("; ")
    }
}

fn commit(directory: &Path) -> Option<String> {
    let git = |arguments: &[&str]| first_line(Command::new("git").arg("-C").arg(directory).args(arguments));
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let is_dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some();
    Some(if is_dirty { format!("{commit}-dirty") } else { commit })
}

/// The first line a command prints; `None` if it fails or prints nothing.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let line = String::from_utf8_lossy(&output.stdout)
        .lines()
        .next()?
        .trim()
        .to_owned();
    (!line.is_empty()).then_some(line)
}

/// The value of the first `label : value` line.
fn value(text: &str, label: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == label).then(|| value.trim().to_owned())
    })
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_label() {
        let text = "model\t\t: 2\nmodel name\t: AMD EPYC\nmodel name\t: second\n";
        assert_eq!(value(text, "model name"), Some("AMD EPYC".to_owned()));
        assert_eq!(value(text, "name"), None);
    }

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::inspect(Path::new(env!("CARGO_MANIFEST_DIR")));
        assert!(machine.cores > 0);
        assert!(machine.memory_mib > 0);
        assert!(machine.describe().contains(&machine.kernel));
    }
}
