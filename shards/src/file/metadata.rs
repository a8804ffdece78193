//! What the kernel knows of a file.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Statx, StatxFlags, StatxTimestamp, statx};

/// How long after its last change a file may change again without a trace. 2 s.
///
/// Kernels before 6.13 stamp changes with the time of the last timer tick, and some file systems with whole seconds or
/// two.
const UNSETTLED: Duration = Duration::from_secs(2);

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link, a FIFO, a socket or a device.
    Other,
}

/// A time as the file system stores it: seconds since 1970, and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stamp {
    seconds: i64,
    nanoseconds: u32,
}

/// What tells one state of a file from another: two equal identities have the same content.
///
/// See [`Metadata::is_settled`] for the exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    device: (u32, u32),
    inode: u64,
    bytes: u64,
    modified: Stamp,
    changed: Stamp,
}

/// The kind, the size and the times of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    kind: FileKind,
    identity: FileIdentity,
}

impl Metadata {
    /// Asks the kernel about an open file.
    pub(super) fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::SIZE | StatxFlags::MTIME | StatxFlags::CTIME;
        let found = statx(file, c"", AtFlags::EMPTY_PATH, wanted)?;
        Ok(Self::from(&found))
    }

    /// Returns what the file is.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Returns the size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.identity.bytes
    }

    /// Returns the time of the last change of the content; `None` if it cannot be represented.
    #[must_use]
    pub fn modified(&self) -> Option<SystemTime> {
        self.identity.modified.to_time()
    }

    /// Returns what changes with the content.
    #[must_use]
    pub fn identity(&self) -> &FileIdentity {
        &self.identity
    }

    /// Returns whether the same identity at a later time means the same content.
    ///
    /// Soon after a change it does not: another change may get the same time. `now` is a time before the content was read.
    #[must_use]
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let changed = self.identity.changed.to_time();
        changed.is_some_and(|changed| now.duration_since(changed).is_ok_and(|age| age > UNSETTLED))
    }

    /// Returns whether this is the same content as before, of a file that is held open.
    ///
    /// Other changes, such as another name, do not count.
    #[must_use]
    pub fn has_same_content(&self, before: &Self) -> bool {
        let content = |metadata: &Self| (metadata.identity.bytes, metadata.identity.modified);
        content(self) == content(before)
    }
}

impl FileIdentity {
    /// Returns bytes that differ between two identities.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self {
            device: (major, minor),
            inode,
            bytes,
            modified,
            changed,
        } = self;
        let mut all = Vec::with_capacity(48);
        all.extend_from_slice(&major.to_le_bytes());
        all.extend_from_slice(&minor.to_le_bytes());
        all.extend_from_slice(&inode.to_le_bytes());
        all.extend_from_slice(&bytes.to_le_bytes());
        for stamp in [modified, changed] {
            all.extend_from_slice(&stamp.seconds.to_le_bytes());
            all.extend_from_slice(&stamp.nanoseconds.to_le_bytes());
        }
        all
    }
}

impl From<&Statx> for Metadata {
    fn from(found: &Statx) -> Self {
        let kind = match rustix::fs::FileType::from_raw_mode(found.stx_mode.into()) {
            rustix::fs::FileType::RegularFile => FileKind::Regular,
            rustix::fs::FileType::Directory => FileKind::Directory,
            _ => FileKind::Other,
        };
        let identity = FileIdentity {
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            bytes: found.stx_size,
            modified: found.stx_mtime.into(),
            changed: found.stx_ctime.into(),
        };
        Self { kind, identity }
    }
}

impl From<StatxTimestamp> for Stamp {
    fn from(stamp: StatxTimestamp) -> Self {
        Self {
            seconds: stamp.tv_sec,
            nanoseconds: stamp.tv_nsec,
        }
    }
}

impl Stamp {
    fn to_time(self) -> Option<SystemTime> {
        let seconds = Duration::from_secs(self.seconds.unsigned_abs());
        let whole = if self.seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(seconds)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(seconds)
        };
        whole?.checked_add(Duration::from_nanos(self.nanoseconds.into()))
    }
}
