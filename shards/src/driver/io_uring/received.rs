//! Bytes received through the ring: a view of the buffer the kernel received into.

use std::ops::Deref;

use super::buffers::BufferId;
use super::ring::SharedRing;

/// Received bytes.
pub(crate) struct Received(BufferSource);

enum BufferSource {
    /// A buffer of the shard's ring, held (so not published) until this is dropped.
    Provided {
        ring: SharedRing,
        buffer: BufferId,
        length: u32,
    },
    /// The stream's own buffer, received into while the ring's were short.
    Plain(Vec<u8>),
}

impl Received {
    /// Takes over a held `buffer` with `length` bytes reported by the kernel; this value is its holder from here on.
    pub(super) fn provided(ring: SharedRing, buffer: BufferId, length: u32) -> Self {
        Self(BufferSource::Provided { ring, buffer, length })
    }

    pub(super) fn plain(bytes: Vec<u8>) -> Self {
        Self(BufferSource::Plain(bytes))
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: `self` holds the buffer with this length (see `provided`) and returns it only in its drop, after
            // which no borrow of `self` exists.
            BufferSource::Provided { ring, buffer, length } => unsafe {
                ring.memory.received(*buffer, *length as usize)
            },
            BufferSource::Plain(bytes) => bytes,
        }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let BufferSource::Provided { ring, buffer, .. } = &self.0 {
            // SAFETY: `self` holds the buffer, and its slices borrow from `self`.
            unsafe { ring.memory.poison(*buffer) };
            ring.buffers.borrow_mut().give_back(*buffer);
        }
    }
}
