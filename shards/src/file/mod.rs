//! Files beneath a directory, for servers: found, opened and read without waiting for a disk where that is possible.
//!
//! Why: a shard that waits for a disk serves no client. [`DiskWait::Refused`] makes the kernel answer from memory or fail
//! with [`WouldBlock`](std::io::ErrorKind::WouldBlock). The caller then repeats the call with [`DiskWait::Allowed`] on a
//! thread that may wait, by [`spawn_blocking`](crate::spawn_blocking).

mod directory;
mod metadata;
mod opened;
mod snapshot;
mod trail;

use std::io;

use rustix::io::Errno;
use rustix::process::Resource;

pub use directory::{Directory, Entry};
pub use metadata::{FileIdentity, FileKind, Metadata};
pub use opened::File;
pub(crate) use snapshot::pages_of;
pub use snapshot::{Snapshot, SnapshotWriter};
pub use trail::Trail;

/// Whether a call may wait for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskWait {
    /// It fails with [`WouldBlock`](std::io::ErrorKind::WouldBlock) where it would have to wait.
    Refused,
    /// It waits, so it must not run on a shard's thread.
    Allowed,
}

/// Returns whether a call failed because its path names nothing that this process may read beneath the directory.
#[must_use]
pub fn is_missing(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        matches!(
            errno,
            Errno::NOENT
                | Errno::NOTDIR
                | Errno::ACCESS
                | Errno::PERM
                | Errno::XDEV
                | Errno::LOOP
                | Errno::NAMETOOLONG
                | Errno::INVAL
        )
    })
}

/// Returns how many files this process may have open.
#[must_use]
pub fn open_files_max() -> u64 {
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns whether a call failed because the process or the machine is out of descriptors.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
