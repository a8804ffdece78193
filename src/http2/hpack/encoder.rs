//! The encoder of header blocks (RFC 7541 §6).
//!
//! Fields that repeat from response to response are indexed, such as `content-type` and the `date` of a second. Fields
//! whose values rarely repeat are literals, and fields with secrets are marked so that no proxy indexes them.

use super::table::{ENTRY_OVERHEAD_BYTES, TABLE_BYTES_MAX, Table};
use super::{huffman, integer, static_table};

/// Encodes the blocks of one connection.
#[derive(Debug)]
pub struct Encoder {
    /// A mark is the hash of name and value.
    table: Table<u32>,
    /// The smallest limit since the last block and the current one, if the peer must be told (RFC 7541 §4.2).
    size_update: Option<[usize; 2]>,
}

/// How a field may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexing {
    /// It repeats, so the peer's table gets it.
    Insert,
    /// It rarely repeats.
    Omit,
    /// It is secret: proxies must not store it either (RFC 7541 §7.1.3).
    Never,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// Makes the encoder of a new connection, with an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Table::new(),
            size_update: None,
        }
    }

    /// Sets the size of the peer's table; this encoder uses at most 4 KiB of it.
    pub fn set_peer_table_size(&mut self, bytes: usize) {
        let bytes = bytes.min(TABLE_BYTES_MAX);
        if bytes == self.table.size_max() && self.size_update.is_none() {
            return;
        }
        self.table.set_size_max(bytes);
        let smallest = self.size_update.map_or(bytes, |[smallest, _]| smallest.min(bytes));
        self.size_update = Some([smallest, bytes]);
    }

    /// Begins a block with the size updates that are due.
    #[inline]
    pub fn begin_block(&mut self, out: &mut Vec<u8>) {
        if let Some([smallest, last]) = self.size_update.take() {
            if smallest < last {
                integer::encode(smallest, 5, 0x20, out);
            }
            integer::encode(last, 5, 0x20, out);
        }
    }

    /// Writes an entry of the static table.
    pub fn put_static(&self, index: u8, out: &mut Vec<u8>) {
        out.push(0x80 | index);
    }

    /// Writes a field.
    #[inline]
    pub fn put(&mut self, name: &[u8], value: &[u8], indexing: Indexing, out: &mut Vec<u8>) {
        let entry_bytes = name.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        // An entry of a quarter of the table would evict many that repeat.
        if indexing == Indexing::Insert && entry_bytes <= self.table.size_max() / 4 {
            self.put_indexed(name, value, out);
        } else {
            let form = if indexing == Indexing::Never { SECRET } else { OMITTED };
            let index = static_table::index_of_name(name).unwrap_or(0);
            put_literal(form, index, name, value, out);
        }
    }

    fn put_indexed(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let hash = hash(name, value);
        let age = self
            .table
            .find(|mark| mark == hash, |found| found.value == value && found.name == name);
        if let Some(age) = age {
            integer::encode(static_table::STATIC_ENTRIES + 1 + age, 7, 0x80, out);
            return;
        }
        let name_index = static_table::index_of_name(name).or_else(|| {
            let age = self.table.find(|_| true, |found| found.name == name)?;
            Some(static_table::STATIC_ENTRIES + 1 + age)
        });
        let name_index = name_index.unwrap_or(0);
        // Without memory for the entry, the field is a literal that neither end stores.
        match self.table.insert(name, value, hash) {
            Ok(()) => put_literal(INSERTED, name_index, name, value, out),
            Err(_) => put_literal(OMITTED, 0, name, value, out),
        }
    }

    #[cfg(test)]
    pub(super) fn table(&self) -> super::table::Content {
        self.table.content()
    }
}

/// The forms of a literal: how many bits its index of the name has, and the bits in front of them.
const INSERTED: (u8, u8) = (6, 0x40);
const OMITTED: (u8, u8) = (4, 0);
const SECRET: (u8, u8) = (4, 0x10);

/// Writes a literal; `name_index` is 0 where no table has the name.
fn put_literal((prefix_bits, pattern): (u8, u8), name_index: usize, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    integer::encode(name_index, prefix_bits, pattern, out);
    if name_index == 0 {
        put_string(name, out);
    }
    put_string(value, out);
}

/// Writes a string, in the shorter of its two forms.
fn put_string(string: &[u8], out: &mut Vec<u8>) {
    let encoded_bytes = huffman::encoded_bytes(string);
    if encoded_bytes < string.len() {
        integer::encode(encoded_bytes, 7, 0x80, out);
        huffman::encode(string, out);
    } else {
        integer::encode(string.len(), 7, 0, out);
        out.extend_from_slice(string);
    }
}

/// Hashes a field, eight bytes a step. Equal hashes are compared byte by byte, so it need not resist an attacker.
fn hash(name: &[u8], value: &[u8]) -> u32 {
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let mut hash = mix(name.len() as u64, value.len() as u64);
    for string in [name, value] {
        let (words, rest) = string.as_chunks::<8>();
        for &word in words {
            hash = mix(hash, u64::from_ne_bytes(word));
        }
        for &byte in rest {
            hash = mix(hash, u64::from(byte));
        }
    }
    u32::try_from(hash >> 32).unwrap_or_default()
}
