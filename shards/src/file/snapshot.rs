//! The content of a file as it was once, in memory: `Bytes` whose pages sockets take without a copy.
//!
//! Why: sending a mebibyte costs a copy of it, unless the socket takes pages (`sendfile`). Taken from the file itself, they
//! would change with it until the peer has them, and a response would mix two versions. A snapshot stays as it is.
//!
//! Invariant: a shard finds the pages of bytes by their address. Only a snapshot that is still mapped is found, so the
//! address belongs to no other memory.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::os::snapshot_pages::{PageWriter, SnapshotPages};

thread_local! {
    /// The snapshots that this shard may send.
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// A snapshot's place in memory.
struct Known {
    start: usize,
    end: usize,
    pages: Weak<SnapshotPages>,
}

/// Copies content into a snapshot, on any thread.
#[derive(Debug)]
pub struct SnapshotWriter(PageWriter);

/// A content that never changes.
#[derive(Debug, Clone)]
pub struct Snapshot(Arc<SnapshotPages>);

impl SnapshotWriter {
    /// Begins a snapshot of at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// The kernel or a limit of the process refuses a file in memory.
    pub fn new(bytes_max: usize) -> io::Result<Self> {
        PageWriter::new(bytes_max).map(Self)
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// Memory is short.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }

    /// Completes the snapshot.
    ///
    /// # Errors
    ///
    /// The snapshot is empty, or the kernel refuses.
    pub fn finish(self) -> io::Result<Snapshot> {
        self.0.seal().map(|pages| Snapshot(Arc::new(pages)))
    }
}

/// Keeps the pages for `Bytes`.
struct Owner(Arc<SnapshotPages>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Snapshot {
    /// Returns the content; streams of the calling shard send it, or parts of it, without a copy.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let content = Bytes::from_owner(Owner(Arc::clone(&self.0)));
        let range = content.as_ptr_range();
        KNOWN.with_borrow_mut(|known| {
            known.retain(|known| known.pages.strong_count() > 0);
            known.push(Known {
                start: range.start.addr(),
                end: range.end.addr(),
                pages: Arc::downgrade(&self.0),
            });
        });
        content
    }
}

/// Returns the pages that bytes are in, and where they begin there; `None` for bytes of no snapshot.
pub(crate) fn pages_of(bytes: &[u8]) -> Option<(Arc<SnapshotPages>, u64)> {
    let range = bytes.as_ptr_range();
    let (start, end) = (range.start.addr(), range.end.addr());
    KNOWN.with_borrow(|known| {
        let found = known.iter().filter(|known| known.start <= start && end <= known.end);
        let mut alive = found.filter_map(|known| Some((known.pages.upgrade()?, start - known.start)));
        alive.next().map(|(pages, offset)| (pages, offset as u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(content: &[u8]) -> Snapshot {
        let mut writer = SnapshotWriter::new(content.len()).unwrap();
        writer.write(content).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn parts_of_a_snapshot_are_found_until_the_last_of_them_is_gone() {
        let content = vec![7; 10_000];
        let bytes = snapshot(&content).bytes();
        assert_eq!(bytes, content);
        let part = bytes.slice(100..5000);
        drop(bytes);
        let (pages, offset) = pages_of(&part).unwrap();
        assert_eq!((pages.bytes().len(), offset), (10_000, 100));
        drop(pages);
        let place = part.as_ptr_range();
        drop(part);
        let is_found = KNOWN.with_borrow(|known| {
            let mut there = known.iter().filter(|known| known.start <= place.start.addr());
            there.any(|known| known.end >= place.end.addr() && known.pages.strong_count() > 0)
        });
        assert!(!is_found);
    }

    #[test]
    fn other_bytes_are_in_no_snapshot() {
        let _kept = snapshot(b"content").bytes();
        assert!(pages_of(&[0; 100]).is_none());
        assert!(pages_of(Bytes::from_static(b"static").as_ref()).is_none());
    }

    #[test]
    fn a_shard_finds_only_what_it_has_asked_for() {
        let snapshot = snapshot(b"content");
        let bytes = snapshot.bytes();
        let elsewhere = std::thread::spawn(move || pages_of(&bytes).is_some());
        assert!(!elsewhere.join().unwrap());
    }
}
