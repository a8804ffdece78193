//! The errors of the decoder.

use crate::memory::OutOfMemory;

/// Why a block cannot be decoded.
///
/// The tables of both ends then differ, so the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The block breaks a rule (COMPRESSION_ERROR).
    Malformed,
    /// Memory is short.
    OutOfMemory,
}

impl From<OutOfMemory> for DecodeError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}
