//! The size of the window that a peer inflates with (RFC 7692 §7.1.2).

/// The base-2 logarithm of the size of an LZ77 window, 9 to 15 (RFC 7692 §7.1.2).
///
/// The RFC also allows 8, which zlib does not support for raw deflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WindowBits(u8);

impl WindowBits {
    /// The smallest window: 512 bytes.
    pub const MIN: Self = Self(9);
    /// The largest window: 32 KiB.
    pub const MAX: Self = Self(15);

    /// Returns the window of this logarithm, 9 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        match bits {
            9..=15 => Some(Self(bits)),
            _ => None,
        }
    }

    /// The smallest window that holds this many bytes, or the largest one.
    #[must_use]
    pub(super) fn holding(bytes: usize) -> Self {
        let fits = |bits: &u8| 1_usize << bits >= bytes;
        (Self::MIN.0..Self::MAX.0).find(fits).map_or(Self::MAX, Self)
    }

    /// Returns the logarithm: 9 to 15.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Returns the size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.0
    }
}
