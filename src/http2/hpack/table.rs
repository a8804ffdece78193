//! The dynamic table of HPACK (RFC 7541 §2.3.2, §4), for the decoder and the encoder.
//!
//! Names and values lie in one buffer, the oldest in front. Evicted entries leave a gap there, which is closed when it
//! is as large as the rest. So each byte moves at most once for each inserted one.
//!
//! Invariant: the buffer holds at most twice the size limit, and an unused table holds no memory.

use std::collections::VecDeque;

use crate::memory::{self, OutOfMemory};

/// Largest dynamic table in bytes, in either direction: 4 KiB, HTTP/2's default (RFC 9113 §6.5.2). A peer that asks for
/// more gets this.
pub(in crate::http2) const TABLE_BYTES_MAX: usize = 4096;

/// What an entry counts beside its name and value (RFC 7541 §4.1).
pub(in crate::http2) const ENTRY_OVERHEAD_BYTES: usize = 32;

/// Entries with a mark each: the decoder's is the class of the field, the encoder's a hash.
#[derive(Debug)]
pub(super) struct Table<M> {
    bytes: Vec<u8>,
    /// Length of the gap in front of the oldest entry.
    gap: usize,
    /// The newest is at the back.
    entries: VecDeque<Entry<M>>,
    /// Size in the RFC's sense, with the overhead of each entry.
    size: usize,
    size_max: usize,
    /// Position of the next entry, counted over the life of the table.
    end: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry<M> {
    /// Counted as [`Table::end`].
    start: u32,
    name_bytes: u16,
    value_bytes: u16,
    mark: M,
}

/// An entry as it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'t, M> {
    pub(super) name: &'t [u8],
    pub(super) value: &'t [u8],
    pub(super) mark: M,
}

impl<M: Copy> Entry<M> {
    fn string_bytes(&self) -> usize {
        usize::from(self.name_bytes) + usize::from(self.value_bytes)
    }
}

impl<M: Copy> Table<M> {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            gap: 0,
            entries: VecDeque::new(),
            size: 0,
            size_max: TABLE_BYTES_MAX,
            end: 0,
        }
    }

    /// Returns the size limit.
    pub(super) fn size_max(&self) -> usize {
        self.size_max
    }

    /// Sets the size limit and evicts what exceeds it; at most [`TABLE_BYTES_MAX`].
    pub(super) fn set_size_max(&mut self, bytes: usize) {
        self.size_max = bytes.min(TABLE_BYTES_MAX);
        self.evict(0);
    }

    /// Inserts an entry and evicts older ones. An entry above the limit empties the table (RFC 7541 §4.4).
    ///
    /// # Errors
    ///
    /// Memory is short. The table has lost the evicted entries.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], mark: M) -> Result<(), OutOfMemory> {
        let string_bytes = name.len() + value.len();
        let entry_bytes = string_bytes + ENTRY_OVERHEAD_BYTES;
        self.evict(entry_bytes);
        let (Ok(name_bytes), Ok(value_bytes)) = (u16::try_from(name.len()), u16::try_from(value.len())) else {
            return Ok(());
        };
        if entry_bytes > self.size_max {
            return Ok(());
        }
        if self.gap > self.bytes.len() - self.gap {
            self.bytes.drain(..self.gap);
            self.gap = 0;
        }
        memory::make_room(&mut self.bytes, string_bytes)?;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(Entry {
            start: self.end,
            name_bytes,
            value_bytes,
            mark,
        });
        self.end = self.end.wrapping_add(u32::from(name_bytes) + u32::from(value_bytes));
        self.size += entry_bytes;
        Ok(())
    }

    /// Returns an entry by its age: 0 is the newest.
    pub(super) fn get(&self, age: usize) -> Option<Found<'_, M>> {
        let entry = self.entries.get(self.entries.len().checked_sub(age + 1)?)?;
        self.read(entry)
    }

    /// Returns the age of the newest entry whose mark and strings match.
    pub(super) fn find(&self, is_mark: impl Fn(M) -> bool, is_entry: impl Fn(Found<'_, M>) -> bool) -> Option<usize> {
        let mut by_age = self.entries.iter().rev();
        by_age.position(|entry| is_mark(entry.mark) && self.read(entry).is_some_and(&is_entry))
    }

    fn read(&self, entry: &Entry<M>) -> Option<Found<'_, M>> {
        // The distance to the end is below twice the limit, however often the position has wrapped.
        let from_end = self.end.wrapping_sub(entry.start) as usize;
        let strings = self.bytes.get(self.bytes.len().checked_sub(from_end)?..)?;
        let (name, rest) = strings.split_at_checked(usize::from(entry.name_bytes))?;
        Some(Found {
            name,
            value: rest.get(..usize::from(entry.value_bytes))?,
            mark: entry.mark,
        })
    }

    /// Evicts the oldest entries until `bytes` more fit, or none is left.
    fn evict(&mut self, bytes: usize) {
        while self.size + bytes > self.size_max
            && let Some(entry) = self.entries.pop_front()
        {
            self.size -= entry.string_bytes() + ENTRY_OVERHEAD_BYTES;
            self.gap += entry.string_bytes();
        }
        if self.entries.is_empty() {
            self.bytes.clear();
            self.gap = 0;
        }
    }
}

/// The size of a table and its entries, the newest first.
#[cfg(test)]
pub(super) type Content = (usize, Vec<(Vec<u8>, Vec<u8>)>);

#[cfg(test)]
impl<M: Copy> Table<M> {
    /// Returns the size and all entries, the newest first.
    pub(super) fn content(&self) -> Content {
        let all = (0..self.entries.len()).filter_map(|age| self.get(age));
        let content: Vec<_> = all.map(|found| (found.name.to_vec(), found.value.to_vec())).collect();
        assert!(self.bytes.len() <= 2 * TABLE_BYTES_MAX, "{} bytes", self.bytes.len());
        (self.size, content)
    }
}
