//! Byte classes as tables: one load per byte, whatever the class. Each class is written as the grammar writes it.

/// The set of the 256 bytes that belong to a class.
pub(crate) struct ByteSet([bool; 256]);

#[expect(
    clippy::indexing_slicing,
    reason = "any byte is below 256, and this runs in the compiler"
)]
impl ByteSet {
    /// Creates the set of all bytes from `first` to `last`.
    pub(crate) const fn range(first: u8, last: u8) -> Self {
        let mut table = [false; 256];
        let mut byte = first;
        while byte < last {
            table[byte as usize] = true;
            byte += 1;
        }
        table[last as usize] = true;
        Self(table)
    }

    /// Creates the set of `members`.
    pub(crate) const fn of(members: &[u8]) -> Self {
        Self([false; 256]).with(members, true)
    }

    /// Returns this set without `others`.
    pub(crate) const fn without(self, others: &[u8]) -> Self {
        self.with(others, false)
    }

    const fn with(mut self, bytes: &[u8], belong: bool) -> Self {
        let mut rest = bytes;
        while let [byte, more @ ..] = rest {
            self.0[*byte as usize] = belong;
            rest = more;
        }
        self
    }
}

impl ByteSet {
    /// Returns whether the set contains a byte.
    pub(crate) fn contains(&self, byte: u8) -> bool {
        *self.0.get(usize::from(byte)).unwrap_or(&false)
    }

    /// Returns whether the set contains every byte of `bytes`.
    pub(crate) fn contains_all(&self, bytes: &[u8]) -> bool {
        self.split(bytes).1.is_empty()
    }

    /// Splits `bytes` before the first one that is not in the set.
    pub(crate) fn split<'b>(&self, bytes: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        let mut length = 0;
        while bytes.get(length).is_some_and(|&byte| self.contains(byte)) {
            length += 1;
        }
        bytes.split_at(length)
    }
}
