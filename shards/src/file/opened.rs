//! An open regular file.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

use super::DiskWait;
use super::metadata::Metadata;

/// A regular file that is open for reading; its name may change or vanish meanwhile.
#[derive(Debug)]
pub struct File(OwnedFd);

impl File {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Asks the kernel about the file as it is now.
    ///
    /// # Errors
    ///
    /// The kernel or its file system failed.
    pub fn metadata(&self) -> io::Result<Metadata> {
        Metadata::of(self.0.as_fd())
    }

    /// Reads bytes at an offset and returns how many: fewer at the end of the file, or of what is in memory.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if `wait` refuses to wait and the first byte is not in memory, or the
    /// file system cannot tell. Otherwise the disk or the file system failed.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64, wait: DiskWait) -> io::Result<usize> {
        loop {
            let read = match wait {
                DiskWait::Refused => preadv2(&self.0, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT),
                DiskWait::Allowed => pread(&self.0, &mut *buffer, offset),
            };
            return match read {
                Err(Errno::INTR) => continue,
                // File systems without the flag, and sandboxes without the call.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) if wait == DiskWait::Refused => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                read => Ok(read?),
            };
        }
    }
}
