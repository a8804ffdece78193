//! A set of bytes, for classes that are asked about at every byte of every request.
//!
//! A table answers in one load whatever the class looks like; each class is written down as the grammar writes it.

/// Which of the 256 bytes belong to a class.
pub(super) struct ByteSet([bool; 256]);

#[expect(
    clippy::indexing_slicing,
    reason = "any byte is below 256, and this runs in the compiler"
)]
impl ByteSet {
    /// Makes the set of all bytes from `first` to `last`.
    pub(super) const fn range(first: u8, last: u8) -> Self {
        let mut table = [false; 256];
        let mut byte = first;
        while byte < last {
            table[byte as usize] = true;
            byte += 1;
        }
        table[last as usize] = true;
        Self(table)
    }

    /// Makes the set of `members`.
    pub(super) const fn of(members: &[u8]) -> Self {
        Self([false; 256]).with(members, true)
    }

    /// Makes this set without `others`.
    pub(super) const fn without(self, others: &[u8]) -> Self {
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
    /// Whether a byte belongs to it.
    pub(super) fn contains(&self, byte: u8) -> bool {
        *self.0.get(usize::from(byte)).unwrap_or(&false)
    }

    /// Whether every one of `bytes` belongs to it.
    pub(super) fn contains_all(&self, bytes: &[u8]) -> bool {
        self.split(bytes).1.is_empty()
    }

    /// Parts `bytes` before the first one that does not belong to it.
    pub(super) fn split<'b>(&self, bytes: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        let mut length = 0;
        while bytes.get(length).is_some_and(|&byte| self.contains(byte)) {
            length += 1;
        }
        bytes.split_at(length)
    }
}
