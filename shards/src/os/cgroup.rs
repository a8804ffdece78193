//! The limits that control groups set for this process, in version 2 (one hierarchy) and version 1 (one per controller).
//!
//! Invariant: pure over the text of kernel files; a file that cannot be read or parsed sets no limit.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the text of a kernel file, if it can be read.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// The version of the hierarchy that a group belongs to, which decides the names and formats of its limit files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    V2,
    V1,
}

/// A group that contains this process, directly or through a descendant.
pub(crate) struct Group<'a> {
    pub(crate) hierarchy: Hierarchy,
    path: &'a Path,
    read: ReadFile<'a>,
}

impl<'a> Group<'a> {
    /// Creates a group whose files are in a directory.
    #[cfg(test)]
    pub(crate) fn of(hierarchy: Hierarchy, path: &'a Path, read: ReadFile<'a>) -> Self {
        Self { hierarchy, path, read }
    }

    /// Reads a file of the group, without the newline.
    pub(crate) fn read(&self, file: &str) -> Option<String> {
        let text = (self.read)(&self.file(file))?;
        Some(text.trim().to_owned())
    }

    /// Returns the path of a file of the group.
    pub(crate) fn file(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }
}

/// Calls `limit_of` for each group of this process that has the controller, up to the visible root, and returns all
/// limits.
pub(crate) fn limits<T>(controller: &str, limit_of: impl Fn(&Group<'_>) -> Option<T>) -> Vec<T> {
    let memberships = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    limits_in(
        &memberships,
        &mounts,
        &|path| fs::read_to_string(path).ok(),
        controller,
        limit_of,
    )
}

/// Does the same from the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`.
pub(crate) fn limits_in<T>(
    memberships: &str,
    mounts: &str,
    read: ReadFile<'_>,
    controller: &str,
    limit_of: impl Fn(&Group<'_>) -> Option<T>,
) -> Vec<T> {
    let mut limits = Vec::new();
    for membership in memberships
        .lines()
        .filter_map(|line| Membership::parse(line, controller))
    {
        let hierarchy = membership.hierarchy;
        let mut mounts = mounts
            .lines()
            .filter_map(|line| Mount::parse(line, hierarchy, controller));
        let Some(mount) = mounts.next() else { continue };
        let group = mount.group(&membership);
        let levels = group.ancestors().take_while(|level| level.starts_with(&mount.point));
        limits.extend(levels.filter_map(|path| limit_of(&Group { hierarchy, path, read })));
    }
    limits
}

/// A line of `/proc/self/cgroup` for one controller: `0::/path` in version 2, `4:cpu,cpuacct:/path` in version 1.
struct Membership<'a> {
    hierarchy: Hierarchy,
    path: &'a Path,
}

impl<'a> Membership<'a> {
    fn parse(line: &'a str, controller: &str) -> Option<Self> {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let hierarchy = if number == "0" && controllers.is_empty() {
            Hierarchy::V2
        } else {
            controllers.split(',').find(|known| *known == controller)?;
            Hierarchy::V1
        };
        Some(Self {
            hierarchy,
            path: Path::new(path),
        })
    }
}

/// The mount point of a hierarchy, and the group shown as its root.
struct Mount {
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// Parses a line of `/proc/self/mountinfo`, if it mounts the wanted hierarchy.
    fn parse(line: &str, hierarchy: Hierarchy, controller: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut fields = after.split(' ');
        let wanted = match hierarchy {
            Hierarchy::V2 => fields.next()? == "cgroup2",
            Hierarchy::V1 => fields.next()? == "cgroup" && fields.nth(1)?.split(',').any(|known| known == controller),
        };
        wanted.then(|| Self {
            root: unescaped(root),
            point: unescaped(point),
        })
    }

    /// Returns the directory with a group's files.
    fn group(&self, membership: &Membership<'_>) -> PathBuf {
        // A path outside the root belongs to another namespace; only its root is visible.
        let below = membership.path.strip_prefix(&self.root).ok();
        let below = below.filter(|path| !path.components().any(|part| part.as_os_str() == ".."));
        below.map_or_else(|| self.point.clone(), |path| self.point.join(path))
    }
}

/// Decodes the octal escapes of mountinfo, where a space in a path is written `\040`.
fn unescaped(field: &str) -> PathBuf {
    let mut parts = field.split('\\');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escaped = part
            .get(..3)
            .and_then(|octal| u8::from_str_radix(octal, 8).ok())
            .filter(u8::is_ascii);
        match (escaped, part.get(3..)) {
            (Some(byte), Some(rest)) => {
                path.push(char::from(byte));
                path.push_str(rest);
            }
            _ => {
                path.push('\\');
                path.push_str(part);
            }
        }
    }
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const V2_MOUNT: &str = "25 30 0:23 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1_MOUNT: &str = "31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n\
        36 31 0:33 / /sys/fs/cgroup/memory rw shared:14 - cgroup cgroup rw,memory\n\
        37 31 0:34 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 master:2 - cgroup cgroup rw,cpu,cpuacct\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    /// Returns the text of the file `limit` of each group, where only the given files exist.
    fn limits_of(controller: &str, memberships: &str, mounts: &str, files: &[(&str, &str)]) -> Vec<String> {
        let files: BTreeMap<&Path, &str> = files.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
        let read = |path: &Path| files.get(path).map(|text| (*text).to_owned());
        limits_in(memberships, mounts, &read, controller, |group| group.read("limit"))
    }

    #[test]
    fn every_group_up_to_the_root_of_the_version_2_hierarchy_is_asked() {
        let files = [
            ("/sys/fs/cgroup/kubepods.slice/pod7/container/limit", "3\n"),
            ("/sys/fs/cgroup/kubepods.slice/limit", "2\n"),
            ("/sys/fs/limit", "1\n"),
        ];
        let limits = limits_of("cpu", "0::/kubepods.slice/pod7/container\n", V2_MOUNT, &files);
        assert_eq!(limits, ["3", "2"]);
    }

    #[test]
    fn a_version_1_controller_is_found_beside_version_2() {
        let memberships = "9:name=systemd:/init\n5:memory:/docker/cd34\n4:cpu,cpuacct:/docker/ab12\n0::/\n";
        let files = [
            ("/sys/fs/cgroup/cpu,cpuacct/docker/ab12/limit", "of the CPU\n"),
            ("/sys/fs/cgroup/memory/docker/cd34/limit", "of memory\n"),
            ("/sys/fs/cgroup/unified/limit", "of both\n"),
        ];
        assert_eq!(
            limits_of("cpu", memberships, V1_MOUNT, &files),
            ["of the CPU", "of both"]
        );
        assert_eq!(
            limits_of("memory", memberships, V1_MOUNT, &files),
            ["of memory", "of both"]
        );
    }

    #[test]
    fn a_group_seen_from_inside_a_container_is_found_at_the_mount() {
        let at_the_mount = [("/sys/fs/cgroup/limit", "5\n")];
        // The mount shows the container's own group as its root, or the path leads out of the namespace.
        let bind_mounted = V2_MOUNT.replace(" / /sys", " /docker/ab12 /sys");
        for (memberships, mounts) in [
            ("0::/docker/ab12\n", bind_mounted.as_str()),
            ("0::/elsewhere\n", &bind_mounted),
            ("0::/../..\n", V2_MOUNT),
            ("0::/\n", V2_MOUNT),
        ] {
            assert_eq!(
                limits_of("cpu", memberships, mounts, &at_the_mount),
                ["5"],
                "{memberships}"
            );
        }
        let spaced = V2_MOUNT.replace("/sys/fs/cgroup", r"/odd\040place\134x");
        assert_eq!(
            limits_of("cpu", "0::/\n", &spaced, &[(r"/odd place\x/limit", "5\n")]),
            ["5"]
        );
    }

    #[test]
    fn text_that_cannot_be_parsed_sets_no_limit() {
        for (memberships, mounts) in [
            ("", ""),
            ("0::/\n", ""),
            ("", V2_MOUNT),
            ("nonsense\n0:x", "a - b\n - \n"),
        ] {
            assert!(limits_of("cpu", memberships, mounts, &[("/sys/fs/cgroup/limit", "1")]).is_empty());
        }
    }
}
