//! A directory whose files are looked up beneath it, by the kernel in one step.
//!
//! Why: a path that was checked before it is opened can change in between, and each of its directories can be a link. So
//! `openat2` resolves it with `RESOLVE_BENEATH`: no `..`, no absolute link and no magic link leads out.
//!
//! Invariant: nothing but a regular file is opened for reading, and no call waits for the peer of a FIFO. A look-up
//! opens the path only (`O_PATH`), which has no effect on a device.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::DiskWait;
use super::metadata::{FileKind, Metadata};
use super::opened::File;

/// How often a look-up is repeated while directories are renamed, which makes `openat2` give up. 8: each repetition
/// meets another rename by chance only.
const TRIES_MAX: usize = 8;

/// A directory, held open; clones are the same one.
///
/// It stays the directory that it was when it was opened, wherever its name leads later.
#[derive(Debug, Clone)]
pub struct Directory {
    descriptor: Arc<OwnedFd>,
    /// Whether the kernel can look up in memory only (Linux 5.12).
    has_cached_look_ups: bool,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, which need not be UTF-8.
    pub name: Vec<u8>,
    /// What it is, after links.
    pub metadata: Metadata,
}

impl Directory {
    /// Opens a directory.
    ///
    /// It may wait for the disk.
    ///
    /// # Errors
    ///
    /// The path names something else, or this process may not search it. Or the kernel lacks `openat2`: before Linux
    /// 5.6, or in a sandbox that forbids it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = openat(CWD, path, flags, Mode::empty())?;
        let probe = |resolve: ResolveFlags| openat2(&descriptor, c".", flags, Mode::empty(), resolve);
        match probe(ResolveFlags::BENEATH) {
            Err(Errno::NOSYS | Errno::PERM) => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "the kernel or its sandbox refuses openat2; use Linux 5.6 or later and allow the call",
                ));
            }
            probed => probed?,
        };
        let has_cached_look_ups = match probe(ResolveFlags::BENEATH | ResolveFlags::CACHED) {
            Ok(_) | Err(Errno::AGAIN) => true,
            Err(_) => false,
        };
        Ok(Self {
            descriptor: Arc::new(descriptor),
            has_cached_look_ups,
        })
    }

    /// Looks up what a relative path names.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if `wait` refuses to wait and the path is not in memory. Otherwise the
    /// kernel's: the path does not exist, leads outside, or may not be searched.
    pub fn look_up(&self, path: &[u8], wait: DiskWait) -> io::Result<Metadata> {
        let found = self.open_beneath(path, OFlags::PATH, wait)?;
        Metadata::of(found.as_fd())
    }

    /// Opens a regular file; `None` if the path names something else.
    ///
    /// # Errors
    ///
    /// As [`look_up`](Self::look_up), and if this process may not read the file.
    pub fn open_file(&self, path: &[u8], wait: DiskWait) -> io::Result<Option<(File, Metadata)>> {
        if self.look_up(path, wait)?.kind() != FileKind::Regular {
            return Ok(None);
        }
        // Should the file have become a FIFO by now, this returns at once.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::new(self.open_beneath(path, flags, wait)?);
        let metadata = file.metadata()?;
        Ok((metadata.kind() == FileKind::Regular).then_some((file, metadata)))
    }

    /// Lists a directory beneath this one, at most `count_max` entries; an empty path is this one.
    ///
    /// It waits for the disk. Entries that cannot be looked up are left out.
    ///
    /// # Errors
    ///
    /// As [`look_up`](Self::look_up).
    pub fn list(&self, path: &[u8], count_max: usize) -> io::Result<Vec<Entry>> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = self.open_beneath(path, flags, DiskWait::Allowed)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if entries.len() >= count_max {
                break;
            }
            if matches!(name, b"." | b"..") {
                continue;
            }
            let whole = [path, b"/", name].concat();
            if let Ok(metadata) = self.look_up(&whole, DiskWait::Allowed) {
                let name = name.to_vec();
                entries.push(Entry { name, metadata });
            }
        }
        Ok(entries)
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn open_beneath(&self, path: &[u8], flags: OFlags, wait: DiskWait) -> io::Result<OwnedFd> {
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if wait == DiskWait::Refused {
            if !self.has_cached_look_ups {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            resolve |= ResolveFlags::CACHED;
        }
        let path = if path.is_empty() { b"." } else { path };
        let mut tries = 0;
        loop {
            tries += 1;
            let name = OsStr::from_bytes(path);
            return match openat2(&*self.descriptor, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::INTR) => continue,
                // A rename meanwhile; without CACHED it is the only reason.
                Err(Errno::AGAIN) if wait == DiskWait::Allowed && tries < TRIES_MAX => continue,
                opened => Ok(opened?),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::testing::TestFolder;

    fn served() -> (TestFolder, PathBuf, Directory) {
        let folder = TestFolder::new();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::create_dir(root.join("inner")).unwrap();
        fs::write(root.join("inner/file"), "content").unwrap();
        fs::write(folder.path().join("outside"), "secret").unwrap();
        let directory = Directory::open(&root).unwrap();
        (folder, root, directory)
    }

    fn kind(directory: &Directory, path: &str) -> Result<FileKind, io::ErrorKind> {
        let found = directory.look_up(path.as_bytes(), DiskWait::Allowed);
        found.map(|found| found.kind()).map_err(|error| error.kind())
    }

    #[test]
    fn nothing_outside_the_directory_is_found() {
        let (folder, root, directory) = served();
        symlink("../outside", root.join("up")).unwrap();
        symlink(folder.path().join("outside"), root.join("absolute")).unwrap();
        symlink(root.join("inner/file"), root.join("absolute-inside")).unwrap();
        symlink("inner/../../outside", root.join("winding")).unwrap();
        symlink("/proc/self/root/etc/passwd", root.join("magic")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("../..", root.join("inner/ladder")).unwrap();
        for path in [
            "../outside",
            "inner/../../outside",
            "/etc/passwd",
            "up",
            "absolute",
            "absolute-inside",
            "winding",
            "magic",
            "loop",
            "inner/ladder/outside",
            "missing",
            "inner/file/",
            "inner/file/x",
        ] {
            assert!(kind(&directory, path).is_err(), "{path}");
            let opened = directory.open_file(path.as_bytes(), DiskWait::Allowed);
            assert!(opened.is_err(), "{path}");
        }
    }

    #[test]
    fn relative_links_that_stay_inside_are_followed() {
        let (_folder, root, directory) = served();
        symlink("inner/file", root.join("link")).unwrap();
        symlink("../inner/file", root.join("inner/back")).unwrap();
        symlink("inner", root.join("folder")).unwrap();
        for path in ["inner/file", "link", "inner/back", "folder/file"] {
            assert_eq!(kind(&directory, path), Ok(FileKind::Regular), "{path}");
            let (file, metadata) = directory
                .open_file(path.as_bytes(), DiskWait::Allowed)
                .unwrap()
                .unwrap();
            let mut content = [0; 16];
            assert_eq!(file.read_at(&mut content, 3, DiskWait::Allowed).unwrap(), 4);
            assert_eq!((&content[..4], metadata.bytes()), (&b"tent"[..], 7));
        }
        assert_eq!(kind(&directory, "folder"), Ok(FileKind::Directory));
        assert_eq!(kind(&directory, ""), Ok(FileKind::Directory));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let (_folder, root, directory) = served();
        let socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let status = std::process::Command::new("mkfifo")
            .arg(root.join("fifo"))
            .status()
            .unwrap();
        assert!(status.success());
        for path in ["socket", "fifo"] {
            assert_eq!(kind(&directory, path), Ok(FileKind::Other), "{path}");
        }
        for path in ["socket", "fifo", "inner"] {
            for wait in [DiskWait::Refused, DiskWait::Allowed] {
                assert!(directory.open_file(path.as_bytes(), wait).unwrap().is_none(), "{path}");
            }
        }
        drop(socket);
    }

    #[test]
    fn what_is_in_memory_is_found_and_read_without_a_wait() {
        let (_folder, root, directory) = served();
        // Reading it puts the path into memory.
        assert_eq!(fs::read(root.join("inner/file")).unwrap(), b"content");
        let found = directory.look_up(b"inner/file", DiskWait::Refused).unwrap();
        assert_eq!(found.kind(), FileKind::Regular);
        let (file, opened) = directory.open_file(b"inner/file", DiskWait::Refused).unwrap().unwrap();
        assert_eq!(opened, found);
        let mut content = [0; 16];
        match file.read_at(&mut content, 0, DiskWait::Refused) {
            Ok(read) => assert_eq!(&content[..read], b"content"),
            // This file system cannot read without a wait.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }

    #[test]
    fn a_directory_that_is_renamed_or_removed_stays_itself() {
        let (folder, root, directory) = served();
        fs::rename(&root, folder.path().join("moved")).unwrap();
        assert_eq!(kind(&directory, "inner/file"), Ok(FileKind::Regular));
        fs::remove_dir_all(folder.path().join("moved")).unwrap();
        assert_eq!(kind(&directory, "inner/file"), Err(io::ErrorKind::NotFound));
        assert!(directory.list(b"", 8).is_err() || directory.list(b"", 8).unwrap().is_empty());
    }

    #[test]
    fn a_change_of_content_changes_the_identity() {
        let (_folder, root, directory) = served();
        let path = root.join("inner/file");
        let before = directory.look_up(b"inner/file", DiskWait::Allowed).unwrap();
        let stamp = fs::metadata(&path).unwrap();
        assert_eq!(before.bytes(), stamp.len());
        assert_eq!(before.modified(), stamp.modified().ok());
        fs::write(root.join("new"), "CONTENT").unwrap();
        fs::rename(root.join("new"), &path).unwrap();
        let after = directory.look_up(b"inner/file", DiskWait::Allowed).unwrap();
        assert_ne!(before.identity(), after.identity());
        assert_ne!(before.identity().to_bytes(), after.identity().to_bytes());
        assert_ne!(fs::metadata(&path).unwrap().ino(), stamp.ino());
    }

    #[test]
    fn a_file_settles_two_seconds_after_its_last_change() {
        let (_folder, _root, directory) = served();
        let metadata = directory.look_up(b"inner/file", DiskWait::Allowed).unwrap();
        let changed = metadata.modified().unwrap();
        assert!(!metadata.is_settled(changed));
        assert!(!metadata.is_settled(changed + Duration::from_secs(2)));
        assert!(metadata.is_settled(changed + Duration::from_secs(3)));
        assert!(
            !metadata.is_settled(SystemTime::UNIX_EPOCH),
            "a clock that was set back"
        );
    }

    #[test]
    fn a_listing_is_bounded_and_has_what_can_be_looked_up() {
        let (_folder, root, directory) = served();
        symlink("/etc/passwd", root.join("outside")).unwrap();
        let mut names: Vec<_> = directory.list(b"", 100).unwrap();
        names.sort_by(|one, other| one.name.cmp(&other.name));
        let names: Vec<_> = names.iter().map(|entry| entry.name.as_slice()).collect();
        assert_eq!(names, [b"inner".as_slice()]);
        assert_eq!(directory.list(b"inner", 100).unwrap().len(), 1);
        assert_eq!(directory.list(b"inner", 0).unwrap(), []);
        assert!(directory.list(b"inner/file", 1).is_err());
    }

    #[test]
    fn only_a_directory_can_be_opened_as_one() {
        let (_folder, root, _directory) = served();
        assert!(Directory::open(&root.join("inner/file")).is_err());
        assert!(Directory::open(&root.join("missing")).is_err());
        assert!(Directory::open(Path::new("")).is_err());
    }
}
