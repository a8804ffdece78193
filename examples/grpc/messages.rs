//! The one message of the service, in the wire format of Protocol Buffers:
//!
//! ```text
//! message Text { string text = 1; uint64 number = 2; }
//! ```

/// Wire types of fields: a number of variable length, 8 bytes, bytes with a length, and 4 bytes.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// The message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) number: u64,
}

impl Text {
    /// Reads a message; `None` if it is malformed. Fields that it does not know are skipped.
    pub(crate) fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut message = Self::default();
        while !bytes.is_empty() {
            let key = take_varint(&mut bytes)?;
            match (key >> 3, key & 7) {
                (1, LENGTH) => message.text = String::from_utf8(take_bytes(&mut bytes)?.to_vec()).ok()?,
                (2, VARINT) => message.number = take_varint(&mut bytes)?,
                (_, VARINT) => drop(take_varint(&mut bytes)?),
                (_, FIXED64) => bytes = bytes.get(8..)?,
                (_, LENGTH) => drop(take_bytes(&mut bytes)?),
                (_, FIXED32) => bytes = bytes.get(4..)?,
                _ => return None,
            }
        }
        Some(message)
    }

    /// Writes the message; fields with their default are left out.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.text.is_empty() {
            put_varint(1 << 3 | LENGTH, &mut bytes);
            put_varint(self.text.len() as u64, &mut bytes);
            bytes.extend_from_slice(self.text.as_bytes());
        }
        if self.number != 0 {
            put_varint(2 << 3 | VARINT, &mut bytes);
            put_varint(self.number, &mut bytes);
        }
        bytes
    }
}

/// Takes a number in groups of seven bits, the lowest first.
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Takes bytes behind their length.
fn take_bytes<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = usize::try_from(take_varint(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn put_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(0x80 | u8::try_from(value & 0x7f).unwrap_or_default());
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or_default());
}
