//! The contents of small files that a shard keeps in memory, bounded in bytes.
//!
//! Invariant: an entry is found by the identity of a file only, and is stored only once that identity is settled. So a
//! found content is the file's content now.
//!
//! Eviction is second chance: the oldest entry that was not used since its last turn leaves.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use squall_shards::file::FileIdentity;

use crate::app::OpenFile;
use crate::memory::Reservation;

/// What an entry takes beside its content: its keys, its counters and its part of the tables. 512 bytes, rounded up.
const ENTRY_BYTES: u64 = 512;

/// The contents that one shard keeps.
pub(super) struct FileCache {
    bytes_max: u64,
    file_bytes_max: u64,
    entries: RefCell<Entries>,
}

#[derive(Default)]
struct Entries {
    bytes: u64,
    files: HashMap<FileIdentity, Entry>,
    /// The identities in the order of their turns.
    turns: VecDeque<FileIdentity>,
}

struct Entry {
    file: Rc<OpenFile>,
    bytes: u64,
    was_used: Cell<bool>,
    /// Memory that the process would not count as its own.
    _counted: Option<Reservation>,
}

impl FileCache {
    pub(super) fn new(bytes_max: u64, file_bytes_max: u64) -> Self {
        Self {
            bytes_max,
            file_bytes_max,
            entries: RefCell::default(),
        }
    }

    /// Returns the size of the largest file that is kept.
    pub(super) fn file_bytes_max(&self) -> u64 {
        self.file_bytes_max
    }

    /// Returns whether a file of this size may be kept.
    pub(super) fn takes(&self, file_bytes: u64) -> bool {
        file_bytes <= self.file_bytes_max && file_bytes.saturating_add(ENTRY_BYTES) <= self.bytes_max
    }

    /// Returns the file with this identity, if it is kept.
    pub(super) fn get(&self, identity: &FileIdentity) -> Option<Rc<OpenFile>> {
        let entries = self.entries.borrow();
        let entry = entries.files.get(identity)?;
        entry.was_used.set(true);
        Some(Rc::clone(&entry.file))
    }

    /// Keeps a file of this many bytes, in the place of others if the cache is full.
    ///
    /// `counted` ends with the entry.
    pub(super) fn insert(
        &self,
        identity: FileIdentity,
        file: &Rc<OpenFile>,
        file_bytes: u64,
        counted: Option<Reservation>,
    ) {
        let bytes = file_bytes.saturating_add(ENTRY_BYTES);
        if bytes > self.bytes_max {
            return;
        }
        let mut entries = self.entries.borrow_mut();
        entries.make_room(self.bytes_max - bytes);
        let entry = Entry {
            file: Rc::clone(file),
            bytes,
            was_used: Cell::new(false),
            _counted: counted,
        };
        match entries.files.insert(identity, entry) {
            None => entries.turns.push_back(identity),
            Some(before) => entries.bytes -= before.bytes,
        }
        entries.bytes += bytes;
    }
}

impl Entries {
    /// Removes entries until at most `bytes_max` bytes are left.
    fn make_room(&mut self, bytes_max: u64) {
        // Each turn removes an entry or takes its mark, so it ends after two turns of all.
        while self.bytes > bytes_max
            && let Some(identity) = self.turns.pop_front()
        {
            match self.files.get(&identity) {
                Some(entry) if entry.was_used.replace(false) => self.turns.push_back(identity),
                _ => {
                    if let Some(entry) = self.files.remove(&identity) {
                        self.bytes -= entry.bytes;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bytes::Bytes;
    use squall_shards::file::{Directory, DiskWait};

    use super::*;

    /// As many different identities: those of this package's own sources.
    fn identities(count: usize) -> Vec<FileIdentity> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        let directory = Directory::open(folder.as_ref()).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert!(names.len() >= count, "{names:?}");
        let look_up = |name: &std::ffi::OsString| {
            let metadata = directory.look_up(name.as_encoded_bytes(), DiskWait::Allowed).unwrap();
            *metadata.identity()
        };
        names.iter().take(count).map(look_up).collect()
    }

    fn file(bytes: usize) -> Rc<OpenFile> {
        Rc::new(OpenFile::held(Bytes::from(vec![b'x'; bytes]), None))
    }

    fn insert(cache: &FileCache, identity: FileIdentity, bytes: usize) {
        cache.insert(identity, &file(bytes), bytes as u64, None);
    }

    #[test]
    fn a_file_is_found_by_its_identity_until_others_need_its_place() {
        let identities = identities(4);
        // Three files of 1000 bytes.
        let cache = FileCache::new(3 * (1000 + ENTRY_BYTES), 1000);
        for identity in &identities[..3] {
            insert(&cache, *identity, 1000);
        }
        assert!(identities[..3].iter().all(|identity| cache.get(identity).is_some()));
        // All were used, so the oldest leaves after one turn.
        insert(&cache, identities[3], 1000);
        let kept: Vec<_> = identities
            .iter()
            .map(|identity| cache.get(identity).is_some())
            .collect();
        assert_eq!(kept, [false, true, true, true]);
    }

    #[test]
    fn an_unused_file_leaves_before_a_used_one() {
        let identities = identities(3);
        let cache = FileCache::new(2 * (1000 + ENTRY_BYTES), 1000);
        insert(&cache, identities[0], 1000);
        insert(&cache, identities[1], 1000);
        assert!(cache.get(&identities[0]).is_some());
        insert(&cache, identities[2], 1000);
        let kept: Vec<_> = identities
            .iter()
            .map(|identity| cache.get(identity).is_some())
            .collect();
        assert_eq!(kept, [true, false, true]);
    }

    #[test]
    fn the_bytes_are_bounded_and_a_cache_of_none_keeps_nothing() {
        let identities = identities(4);
        let cache = FileCache::new(0, 1000);
        insert(&cache, identities[0], 0);
        assert!(cache.get(&identities[0]).is_none());
        let cache = FileCache::new(2000, 1000);
        for (place, identity) in identities.iter().cycle().take(40).enumerate() {
            insert(&cache, *identity, place * 40);
            let entries = cache.entries.borrow();
            let sum: u64 = entries.files.values().map(|entry| entry.bytes).sum();
            assert_eq!(sum, entries.bytes);
            assert_eq!(entries.files.len(), entries.turns.len());
            assert!(entries.bytes <= 2000);
        }
    }
}
