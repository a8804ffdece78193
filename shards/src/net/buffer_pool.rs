//! Output buffers already sent, kept for the next responses of the shard.

use std::cell::RefCell;

/// The most buffers a shard keeps.
const BUFFERS_MAX: usize = 512;
/// The largest buffer kept; a larger one is freed. 65 KiB: a response buffers at most 64 KiB of content before it is
/// sent, plus a head and a chunk's framing.
const BUFFER_BYTES_MAX: usize = 65 * 1024;

/// One shard's spare buffers.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    buffers: RefCell<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// Returns an empty buffer, reused if the pool has one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps a buffer for [`take`](Self::take), within the bounds of the pool.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffer.capacity() > 0 && buffer.capacity() <= BUFFER_BYTES_MAX && buffers.len() < BUFFERS_MAX {
            buffer.clear();
            buffers.push(buffer);
        }
    }
}
