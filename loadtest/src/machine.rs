//! The machine and the software that a record was measured on.

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine and the orchestrator; unknown values are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) is_virtual: bool,
    /// The vendor of the hypervisor.
    pub(crate) hypervisor: Option<String>,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    /// The frequency governor of the first core; absent on virtual machines.
    pub(crate) governor: Option<String>,
    /// The kernel's mitigations of CPU vulnerabilities, as `vulnerability: mitigation`, for those this CPU has.
    pub(crate) mitigations: Vec<String>,
    pub(crate) rustc: Option<String>,
    /// Name and version of the load generator.
    pub(crate) generator: Option<String>,
    /// The commit of the repository, with `-dirty` if tracked files differ.
    pub(crate) commit: Option<String>,
}

impl Machine {
    /// Inspects the machine; `directory` is inside the repository.
    pub(crate) fn inspect(directory: &Path) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
        let flags = value(&cpuinfo, "flags").unwrap_or_default();
        let memory = value(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.strip_suffix(" kB")?.parse().ok());
        Self {
            cpu: value(&cpuinfo, "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores,
            is_virtual: flags.split(' ').any(|flag| flag == "hypervisor"),
            hypervisor: hypervisor(),
            memory_mib: memory.unwrap_or(0u64) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            governor: non_empty(&read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
            mitigations: mitigations(Path::new("/sys/devices/system/cpu/vulnerabilities")),
            rustc: first_line(Command::new("rustc").arg("--version")),
            generator: Some(concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned()),
            commit: commit(directory),
        }
    }
}

/// Runs `lscpu`, which knows the signatures of hypervisors.
fn hypervisor() -> Option<String> {
    let output = Command::new("lscpu").env("LC_ALL", "C").output().ok()?;
    value(&String::from_utf8_lossy(&output.stdout), "Hypervisor vendor")
}

/// Reads the kernel's folder of CPU vulnerabilities: one file each, with `Not affected` or the mitigation.
fn mitigations(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut mitigations: Vec<String> = entries
        .filter_map(|entry| {
            let measure = non_empty(&std::fs::read_to_string(entry.path()).ok()?)?;
            let measure = measure.strip_prefix("Mitigation: ").unwrap_or(&measure);
            let is_affected = measure != "Not affected";
            is_affected.then(|| format!("{}: {measure}", entry.file_name().to_string_lossy()))
        })
        .collect();
    mitigations.sort();
    mitigations
}

fn commit(directory: &Path) -> Option<String> {
    let git = |arguments: &[&str]| first_line(Command::new("git").arg("-C").arg(directory).args(arguments));
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let is_dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some();
    Some(if is_dirty { format!("{commit}-dirty") } else { commit })
}

/// Returns the first line that a command prints; `None` if it fails or prints none.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    non_empty(String::from_utf8_lossy(&output.stdout).lines().next()?)
}

fn non_empty(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns the value of the first `label : value` line.
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
    fn only_vulnerabilities_of_this_cpu_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        for (fault, measure) in [
            ("spectre_v2", "Mitigation: Retpolines\n"),
            ("meltdown", "Not affected\n"),
            ("mds", "Vulnerable\n"),
        ] {
            std::fs::write(folder.path().join(fault), measure).unwrap();
        }
        assert_eq!(
            mitigations(folder.path()),
            ["mds: Vulnerable", "spectre_v2: Retpolines"]
        );
        assert_eq!(mitigations(&folder.path().join("absent")), [""; 0]);
    }

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::inspect(Path::new(env!("CARGO_MANIFEST_DIR")));
        assert!(machine.cores > 0);
        assert!(machine.memory_mib > 0);
        assert!(!machine.kernel.is_empty());
    }
}
