//! Output buffers that were sent, kept for the next responses of the shard.

use std::cell::RefCell;

/// How many sent buffers a shard keeps.
const BUFFERS_MAX: usize = 512;
/// A buffer that has grown beyond this is freed rather than kept: 64 KiB of content are the most a response buffers before it is sent, and
/// a head and the framing of a chunk stand beside them.
const BUFFER_BYTES_MAX: usize = 65 * 1024;

/// One shard's spare buffers.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    buffers: RefCell<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// An empty buffer to build output in: one that was sent before, or a new one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps a buffer for [`take`](Self::take), within the pool's bounds.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffer.capacity() > 0 && buffer.capacity() <= BUFFER_BYTES_MAX && buffers.len() < BUFFERS_MAX {
            buffer.clear();
            buffers.push(buffer);
        }
    }
}
