//! A control group with a memory limit, in which a test starts a server.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::support::server::{driver_under_test, path_of};

/// How often the removal of a group is tried: after its last process has died the kernel may need a moment.
const REMOVALS_MAX: usize = 100_000;

/// A control group, removed when it is dropped.
pub(crate) struct ControlGroup {
    path: PathBuf,
    is_unified: bool,
}

impl ControlGroup {
    /// Makes a group with this limit in bytes, or returns what this machine lacks for it.
    ///
    /// # Panics
    ///
    /// When the kernel refuses for another reason.
    pub(crate) fn make(limit_bytes: u64) -> Result<Self, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (parent, is_unified) =
            own_group().ok_or_else(|| "no hierarchy with the memory controller is mounted".to_owned())?;
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("squall-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                format!("no control group may be made in {}: {error}", parent.display())
            }
            _ => panic!("cannot make {}: {error}", path.display()),
        })?;
        let group = Self { path, is_unified };
        let limit = if is_unified {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        if !group.path.join(limit).exists() {
            return Err(format!(
                "{} hands the memory controller to no group below it",
                parent.display()
            ));
        }
        group.write(limit, limit_bytes);
        if is_unified && group.path.join("memory.swap.max").exists() {
            group.write("memory.swap.max", 0);
        }
        Ok(group)
    }

    /// The command that runs an example in this group.
    pub(crate) fn command(&self, example: &str) -> Command {
        let mut command = Command::new("sh");
        command.env("NO_COLOR", "1").arg("-c");
        command.arg("echo $$ > \"$0\" && exec \"$@\"");
        command.arg(self.path.join("cgroup.procs")).arg(path_of(example));
        if let Some(driver) = driver_under_test() {
            command.args(["--driver", &driver]);
        }
        command
    }

    /// How many processes of the group the kernel has killed (out of memory).
    pub(crate) fn kills(&self) -> u64 {
        let file = if self.is_unified {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let text = fs::read_to_string(self.path.join(file)).expect("the group exists");
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.expect("a kernel that counts kills").parse().expect("a number")
    }

    fn write(&self, file: &str, number: u64) {
        fs::write(self.path.join(file), number.to_string()).expect("the limit of a new group can be set");
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let is_removed = (0..REMOVALS_MAX).any(|_| {
            thread::yield_now();
            fs::remove_dir(&self.path).is_ok()
        });
        if !is_removed && !thread::panicking() {
            panic!("{} cannot be removed", self.path.display());
        }
    }
}

/// The group of this process in the hierarchy that counts memory, and whether that is the unified one.
fn own_group() -> Option<(PathBuf, bool)> {
    let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let older = memberships.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == "memory").then_some(path)
    });
    if let Some(path) = older {
        let is_wanted = |kind: &str, options: &str| kind == "cgroup" && options.split(',').any(|name| name == "memory");
        return Some((mounted(&mounts, path, is_wanted)?, false));
    }
    let path = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
    let own = mounted(&mounts, path, |kind, _| kind == "cgroup2")?;
    let controllers = fs::read_to_string(own.join("cgroup.controllers")).ok()?;
    let is_there = controllers.split_ascii_whitespace().any(|name| name == "memory");
    is_there.then_some((own, true))
}

/// The mount point of a group. Fields 4 and 5 of a mountinfo line are its root and its mount point; type and options
/// follow the dash.
fn mounted(mounts: &str, path: &str, is_wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let below = Path::new(path).strip_prefix(root).ok()?;
        is_wanted(kind, options).then(|| Path::new(point).join(below))
    })
}
