//! A header block that has begun, and the limits on its frames (RFC 9113 §6.10).

use super::error::ConnectionError;
use super::frame::{FrameHeader, flag, kind};
use super::limits::Limits;

/// A complete block, and where it belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct WholeBlock<'b> {
    pub(super) stream: u32,
    pub(super) ends_stream: bool,
    pub(super) bytes: &'b [u8],
}

/// A block that is not complete.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) ends_stream: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) continuations: u32,
}

impl Block {
    /// Checks the header of the frame behind the last one.
    pub(super) fn check_next(&self, header: FrameHeader, limits: &Limits) -> Result<(), ConnectionError> {
        if header.kind != kind::CONTINUATION || header.stream != self.stream {
            return Err(ConnectionError::protocol("a header block is not continued"));
        }
        if header.length == 0 && !header.has(flag::END_HEADERS) {
            return Err(ConnectionError::protocol("a CONTINUATION is empty"));
        }
        if self.continuations >= limits.max_continuations {
            return Err(ConnectionError::calm("a header block has too many frames"));
        }
        if self.bytes.len() + header.length > limits.max_block_bytes {
            return Err(ConnectionError::calm("a header block is too long"));
        }
        Ok(())
    }
}
