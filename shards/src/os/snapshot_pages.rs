//! Pages that nothing can change any more, for sockets to take and for programs to read.
//!
//! Why: a socket takes the pages of a file without a copy, and refers to them until its peer has their bytes. The pages of
//! a file on a disk change whenever a program writes the file. These belong to a file without a name in memory.
//!
//! Invariant: the kernel has sealed the file before it is mapped. So no process changes its bytes or its length, and a read
//! of the mapping finds every page.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{Errno, pwrite};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::process::{Resource, getrlimit};

/// Pages that are being filled.
#[derive(Debug)]
pub(crate) struct PageWriter {
    descriptor: OwnedFd,
    length: usize,
}

/// Pages with their final bytes.
#[derive(Debug)]
pub(crate) struct SnapshotPages {
    descriptor: OwnedFd,
    /// The mapping. Atomic only because a plain pointer stays on its thread.
    start: AtomicPtr<u8>,
    length: usize,
}

impl PageWriter {
    /// Begins pages that will have at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// The kernel has no such files, the process is out of descriptors, or `RLIMIT_FSIZE` is smaller: the kernel would
    /// end the process with a signal.
    pub(crate) fn new(bytes_max: usize) -> io::Result<Self> {
        if getrlimit(Resource::Fsize)
            .current
            .is_some_and(|limit| limit < bytes_max as u64)
        {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = memfd_create(c"squall-snapshot", flags)?;
        Ok(Self { descriptor, length: 0 })
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// Memory is short.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match pwrite(&self.descriptor, bytes, self.length as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.length += written;
                    bytes = bytes.get(written..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Seals the pages and maps them.
    ///
    /// # Errors
    ///
    /// Nothing was written, or the kernel refused to seal or to map.
    pub(crate) fn seal(self) -> io::Result<SnapshotPages> {
        let Self { descriptor, length } = self;
        fcntl_add_seals(
            &descriptor,
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL,
        )?;
        // SAFETY: the address is null, so the kernel chooses an unused place and no memory of this process is replaced.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::SHARED,
                &descriptor,
                0,
            )
        }?;
        Ok(SnapshotPages {
            descriptor,
            start: AtomicPtr::new(start.cast()),
            length,
        })
    }
}

impl SnapshotPages {
    /// Returns the file of the pages, for a socket to take them from.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Returns the bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        let start = self.start.load(Ordering::Relaxed);
        // SAFETY: `seal` mapped `length` bytes at `start`, which is not null. Only the drop unmaps them, after every borrow
        // of `self`. Each page was written, so it exists, and the seal against shrinking keeps it. The seal against
        // writing, made before the mapping, rules out every change, also by other mappings.
        unsafe { slice::from_raw_parts(start, self.length) }
    }
}

impl Drop for SnapshotPages {
    fn drop(&mut self) {
        let start = self.start.load(Ordering::Relaxed);
        // SAFETY: `seal` mapped exactly these pages, they are unmapped only here, and every slice of them borrowed `self`.
        let unmapped = unsafe { munmap(start.cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(bytes: &[u8]) -> SnapshotPages {
        let mut writer = PageWriter::new(bytes.len()).unwrap();
        bytes.chunks(1000).for_each(|piece| writer.write(piece).unwrap());
        writer.seal().unwrap()
    }

    #[test]
    fn sealed_pages_have_their_bytes_and_take_no_others() {
        let content: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let pages = pages(&content);
        assert!(pages.bytes() == content);
        let file = pages.descriptor();
        assert_eq!(pwrite(file, b"x", 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(file, 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(file, 1 << 20), Err(Errno::PERM));
        assert!(pages.bytes() == content);
    }

    #[test]
    fn no_bytes_make_no_pages() {
        assert!(PageWriter::new(1).unwrap().seal().is_err());
    }

    #[test]
    fn pages_are_read_and_freed_on_any_thread() {
        let pages = pages(b"content");
        let read = std::thread::spawn(move || pages.bytes().to_vec());
        assert_eq!(read.join().unwrap(), b"content");
    }
}
