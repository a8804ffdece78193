//! A path that is held open, from the directory it is beneath to its file.
//!
//! Why: a server that knows a file asks the kernel for each request whether it is still the one. Resolving the path
//! again opens and closes descriptors. Asking the open ones takes one `statx` for each directory on the way, and one
//! for the file.
//!
//! Invariant: while no directory on the way has changed its times, its entries are the same. So the path leads to the
//! same file, and names that were missing beside it still are. That holds on the file systems listed here, for
//! directories that had not changed for a while when the path was followed. A file system that is mounted over a
//! directory changes nothing that can be seen here, so callers follow the path again now and then.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags, ResolveFlags, fstatfs, openat2};

use super::directory::Directory;
use super::metadata::{FileIdentity, FileKind, Metadata};

/// The most directories between the root and the file, the root included. 8: each takes a descriptor and a call.
const DIRECTORIES_MAX: usize = 8;

/// The file systems that stamp a directory whenever its entries change: ext4, XFS, Btrfs, F2FS and tmpfs.
const STAMPING: [u64; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994];

/// A path whose directories and file are held open.
#[derive(Debug)]
pub struct Trail {
    /// The root first, the file last.
    steps: Vec<(OwnedFd, FileIdentity)>,
}

impl Directory {
    /// Follows a relative path without links, in memory; `None` where a later look at the times would not tell every change.
    ///
    /// `now` is a time before the call.
    #[must_use]
    pub fn follow(&self, path: &[u8], now: SystemTime) -> Option<Trail> {
        let file_system = fstatfs(self.descriptor()).ok()?;
        let kind = u64::try_from(file_system.f_type).ok()?;
        if !STAMPING.contains(&kind) {
            return None;
        }
        let mut steps: Vec<(OwnedFd, FileIdentity)> = Vec::new();
        let names = std::iter::once(b".".as_slice()).chain(path.split(|&byte| byte == b'/'));
        let count = path.split(|&byte| byte == b'/').count() + 1;
        if count > DIRECTORIES_MAX + 1 {
            return None;
        }
        for (place, name) in names.enumerate() {
            let parent = steps
                .last()
                .map_or_else(|| self.descriptor(), |(parent, _)| parent.as_fd());
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV | ResolveFlags::CACHED;
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let step = openat2(parent, name, flags, Mode::empty(), resolve).ok()?;
            let metadata = Metadata::of(step.as_fd()).ok()?;
            let kind = if place + 1 == count {
                FileKind::Regular
            } else {
                FileKind::Directory
            };
            if metadata.kind() != kind || !metadata.is_settled(now) {
                return None;
            }
            steps.push((step, *metadata.identity()));
        }
        Some(Trail { steps })
    }
}

impl Trail {
    /// Returns the identity of the file as it was when the path was followed.
    #[must_use]
    pub fn file(&self) -> Option<&FileIdentity> {
        self.steps.last().map(|(_, identity)| identity)
    }

    /// Returns how many descriptors it holds.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        self.steps.len()
    }

    /// Asks the kernel whether every directory and the file are as they were.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.steps.iter().all(|(step, identity)| {
            let now = Metadata::of(step.as_fd());
            now.is_ok_and(|now| now.identity() == identity)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::clock;
    use crate::testing::TestFolder;

    /// A time at which everything that exists now has settled.
    fn later() -> SystemTime {
        clock::wall() + Duration::from_secs(60)
    }

    fn site() -> (TestFolder, Directory) {
        let folder = TestFolder::new();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/file"), "content").unwrap();
        fs::write(folder.path().join("top"), "content").unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        (folder, directory)
    }

    #[test]
    fn every_change_on_the_way_is_seen() {
        let changes: [fn(&Path); 8] = [
            |root| fs::write(root.join("a/b/file"), "CONTENT").unwrap(),
            |root| fs::write(root.join("a/b/file.gz"), "variant").unwrap(),
            |root| fs::rename(root.join("top"), root.join("a/b/file")).unwrap(),
            |root| fs::remove_file(root.join("a/b/file")).unwrap(),
            |root| fs::rename(root.join("a/b"), root.join("a/c")).unwrap(),
            |root| fs::rename(root.join("a"), root.join("z")).unwrap(),
            |root| fs::write(root.join("new"), "").unwrap(),
            |root| fs::remove_dir_all(root.join("a")).unwrap(),
        ];
        for (place, change) in changes.iter().enumerate() {
            let (folder, directory) = site();
            let Some(trail) = directory.follow(b"a/b/file", later()) else {
                // The list lacks this file system.
                return;
            };
            assert!(trail.is_unchanged());
            assert_eq!(trail.descriptors(), 4);
            change(folder.path());
            assert!(!trail.is_unchanged(), "change {place}");
        }
    }

    #[test]
    fn links_and_recent_changes_are_not_followed() {
        let (folder, directory) = site();
        assert!(directory.follow(b"top", clock::wall()).is_none(), "just made");
        symlink("a", folder.path().join("link")).unwrap();
        symlink("top", folder.path().join("file-link")).unwrap();
        for path in [
            "link/b/file",
            "file-link",
            "a/b",
            "missing",
            "top/x",
            "../x",
            "a/../top",
            "1/2/3/4/5/6/7/8/9",
        ] {
            assert!(directory.follow(path.as_bytes(), later()).is_none(), "{path}");
        }
    }
}
