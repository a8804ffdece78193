//! Bytes received through the ring: a view of the buffer the kernel received into.

use std::ops::{Deref, DerefMut};

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

impl DerefMut for Provided {
    fn deref_mut(&mut self) -> &mut [u8] {
        let mut bytes = self.ring.uring.memory.place(self.buffer, self.length as usize);
        // SAFETY: the place lies inside the pages, which live as long as the ring that `self` owns a share of. They
        // were zeroed when allocated, so every byte is initialised. `self` is the only holder of the buffer (see
        // `new`). The kernel gets it back in the drop alone, and every other slice of it borrows from `self`.
        unsafe { bytes.as_mut() }
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        // SAFETY: `self` holds the buffer, and its slices borrow from `self`.
        unsafe { self.ring.uring.memory.poison(self.buffer) };
        self.ring.uring.buffers.borrow_mut().give_back(self.buffer);
    }
}
