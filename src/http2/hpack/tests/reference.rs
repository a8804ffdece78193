//! A slow decoder, written from RFC 7541 alone: bits in a list, the Huffman code by search, tables as lists.

use super::super::huffman_code::{CODES, EOS};
use super::super::static_table;
use super::FieldList;

/// The state of one connection.
pub(super) struct Reference {
    /// The newest entry first.
    pub(super) table: FieldList,
    size_max: usize,
}

impl Reference {
    pub(super) fn new() -> Self {
        Self {
            table: FieldList::new(),
            size_max: 4096,
        }
    }

    /// Decodes a block; `None` if it breaks a rule.
    pub(super) fn decode(&mut self, block: &[u8]) -> Option<FieldList> {
        let mut rest = block.iter().copied().collect::<std::collections::VecDeque<u8>>();
        let mut fields = FieldList::new();
        let mut updates = 0;
        while let Some(first) = rest.pop_front() {
            if first >= 0x80 {
                fields.push(self.entry(integer(first, 7, &mut rest)?)?);
            } else if first >= 0x40 {
                let field = self.literal(integer(first, 6, &mut rest)?, &mut rest)?;
                fields.push(field.clone());
                self.table.insert(0, field);
                self.evict();
            } else if first >= 0x20 {
                updates += 1;
                let size = integer(first, 5, &mut rest)?;
                if updates > 2 || !fields.is_empty() || size > 4096 {
                    return None;
                }
                self.size_max = size;
                self.evict();
            } else {
                fields.push(self.literal(integer(first, 4, &mut rest)?, &mut rest)?);
            }
        }
        Some(fields)
    }

    fn entry(&self, index: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        if index == 0 {
            return None;
        }
        match static_table::get(index) {
            Some(entry) => Some((entry.name.as_bytes().to_vec(), entry.value.as_bytes().to_vec())),
            None => self.table.get(index - 62).cloned(),
        }
    }

    fn literal(&self, name_index: usize, rest: &mut std::collections::VecDeque<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
        let name = match name_index {
            0 => string(rest)?,
            index => self.entry(index)?.0,
        };
        Some((name, string(rest)?))
    }

    fn evict(&mut self) {
        let size = |table: &FieldList| -> usize {
            let entries = table.iter();
            entries.map(|(name, value)| name.len() + value.len() + 32).sum()
        };
        while size(&self.table) > self.size_max {
            self.table.pop();
        }
    }
}

fn integer(first: u8, prefix_bits: u32, rest: &mut std::collections::VecDeque<u8>) -> Option<usize> {
    let most = (1_usize << prefix_bits) - 1;
    let prefix = usize::from(first) & most;
    if prefix < most {
        return Some(prefix);
    }
    let mut value = most;
    for octet in 0..4 {
        let byte = rest.pop_front()?;
        value += usize::from(byte % 128) * 128_usize.pow(octet);
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

fn string(rest: &mut std::collections::VecDeque<u8>) -> Option<Vec<u8>> {
    let first = rest.pop_front()?;
    let length = integer(first, 7, rest)?;
    if length > rest.len() {
        return None;
    }
    let bytes: Vec<u8> = rest.drain(..length).collect();
    if first < 128 { Some(bytes) } else { huffman(&bytes) }
}

/// Finds each code by comparing the bits read so far with all of them.
fn huffman(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut bits = 0_u32;
    let mut length = 0_u8;
    for byte in bytes {
        for place in (0..8).rev() {
            bits = bits << 1 | u32::from(byte >> place & 1);
            length += 1;
            let found = CODES.iter().position(|code| code.length == length && code.bits == bits);
            if let Some(symbol) = found {
                if symbol == EOS {
                    return None;
                }
                decoded.push(u8::try_from(symbol).ok()?);
                (bits, length) = (0, 0);
            }
        }
    }
    let is_padding = length < 8 && bits == (1 << length) - 1;
    is_padding.then_some(decoded)
}
