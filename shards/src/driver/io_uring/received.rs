//! Bytes received through the ring: a view of the buffer the kernel received into.

use std::ops::Deref;

use super::buffers::BufferId;
use super::ring::SharedRing;

/// A buffer of the shard's ring, held (so not published) until this is dropped.
pub(crate) struct Provided {
    ring: SharedRing,
    buffer: BufferId,
    length: u32,
}

impl Provided {
    /// Takes over a held `buffer` with `length` bytes reported by the kernel; this value is its holder from here on.
    pub(super) fn new(ring: SharedRing, buffer: BufferId, length: u32) -> Self {
        Self { ring, buffer, length }
    }
}

impl Deref for Provided {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `self` holds the buffer with this length (see `new`) and returns it only in its drop, after which no
        // borrow of `self` exists.
        unsafe { self.ring.uring.memory.received(self.buffer, self.length as usize) }
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        // SAFETY: `self` holds the buffer, and its slices borrow from `self`.
        unsafe { self.ring.uring.memory.poison(self.buffer) };
        self.ring.uring.buffers.borrow_mut().give_back(self.buffer);
    }
}
