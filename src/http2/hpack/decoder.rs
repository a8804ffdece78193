//! The decoder of header blocks (RFC 7541 §3.1, §6).

use super::error::DecodeError;
use super::table::{Found, TABLE_BYTES_MAX, Table};
use super::{huffman, integer, static_table};
use crate::http2::field::{FieldKind, classify};
use crate::memory;

/// Size updates that may begin a block: the smallest limit of an interval, and the last (RFC 7541 §4.2).
const SIZE_UPDATES_MAX: u8 = 2;

/// Decodes the blocks of one connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table<FieldKind>,
    /// Size updates that may still come in this block.
    size_updates_left: u8,
}

/// A decoded field; its name and its value are the last bytes of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub(in crate::http2) kind: FieldKind,
    /// Length of the name, which precedes the value.
    pub name_bytes: usize,
    /// Length of the value.
    pub value_bytes: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Makes the decoder of a new connection, with an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Table::new(),
            size_updates_left: 0,
        }
    }

    /// Begins a block.
    pub fn begin_block(&mut self) {
        self.size_updates_left = SIZE_UPDATES_MAX;
    }

    /// Appends the next field of a block to `out`; `None` at the end of the block.
    ///
    /// # Errors
    ///
    /// The block is malformed, or memory is short. No further block can be decoded.
    #[inline]
    pub fn next_field(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Option<Field>, DecodeError> {
        loop {
            let Some((&first, rest)) = input.split_first() else {
                return Ok(None);
            };
            *input = rest;
            if first & 0xe0 == 0x20 {
                self.update_size(first, input)?;
                continue;
            }
            self.size_updates_left = 0;
            if first & 0x80 != 0 {
                return self.indexed(integer::decode(first, 7, input)?, out).map(Some);
            }
            let is_inserted = first & 0x40 != 0;
            let prefix_bits = if is_inserted { 6 } else { 4 };
            let name_index = integer::decode(first, prefix_bits, input)?;
            return self.literal(name_index, is_inserted, input, out).map(Some);
        }
    }

    /// Reads a dynamic table size update (RFC 7541 §6.3).
    fn update_size(&mut self, first: u8, input: &mut &[u8]) -> Result<(), DecodeError> {
        let size = integer::decode(first, 5, input)?;
        if size > TABLE_BYTES_MAX {
            return Err(DecodeError::Malformed);
        }
        let left = self.size_updates_left.checked_sub(1);
        self.size_updates_left = left.ok_or(DecodeError::Malformed)?;
        self.table.set_size_max(size);
        Ok(())
    }

    /// Appends an indexed field (RFC 7541 §6.1).
    fn indexed(&self, index: usize, out: &mut Vec<u8>) -> Result<Field, DecodeError> {
        let (name, value, kind) = match static_table::get(index) {
            Some(entry) => (entry.name.as_bytes(), entry.value.as_bytes(), entry.kind),
            None => {
                let found = self.dynamic(index)?;
                (found.name, found.value, found.mark)
            }
        };
        memory::make_room(out, name.len() + value.len())?;
        out.extend_from_slice(name);
        out.extend_from_slice(value);
        Ok(Field {
            kind,
            name_bytes: name.len(),
            value_bytes: value.len(),
        })
    }

    /// Appends a literal field, and inserts it into the table if asked (RFC 7541 §6.2).
    fn literal(
        &mut self,
        name_index: usize,
        is_inserted: bool,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Field, DecodeError> {
        let start = out.len();
        if name_index == 0 {
            string(input, out)?;
        } else if let Some(entry) = static_table::get(name_index) {
            memory::append(out, entry.name.as_bytes())?;
        } else {
            memory::append(out, self.dynamic(name_index)?.name)?;
        }
        let value_start = out.len();
        string(input, out)?;
        let strings = out.get(start..).unwrap_or_default();
        let name_bytes = value_start - start;
        let (name, value) = strings.split_at_checked(name_bytes).unwrap_or_default();
        let kind = classify(name, value);
        if is_inserted {
            self.table.insert(name, value, kind)?;
        }
        Ok(Field {
            kind,
            name_bytes,
            value_bytes: value.len(),
        })
    }

    /// Returns the dynamic entry of an index behind the static table.
    fn dynamic(&self, index: usize) -> Result<Found<'_, FieldKind>, DecodeError> {
        let age = index.checked_sub(static_table::STATIC_ENTRIES + 1);
        age.and_then(|age| self.table.get(age)).ok_or(DecodeError::Malformed)
    }

    #[cfg(test)]
    pub(super) fn set_table_size(&mut self, bytes: usize) {
        self.table.set_size_max(bytes);
    }

    #[cfg(test)]
    pub(super) fn table(&self) -> super::table::Content {
        self.table.content()
    }
}

/// Appends a string literal (RFC 7541 §5.2).
fn string(input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let (&first, mut rest) = input.split_first().ok_or(DecodeError::Malformed)?;
    let length = integer::decode(first, 7, &mut rest)?;
    let (bytes, rest) = rest.split_at_checked(length).ok_or(DecodeError::Malformed)?;
    *input = rest;
    if first & 0x80 != 0 {
        huffman::decode(bytes, out)
    } else {
        memory::append(out, bytes)?;
        Ok(())
    }
}
