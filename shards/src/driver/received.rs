//! Bytes received on a stream, of either driver, or copied out of its buffer to be kept.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::epoll::Pooled;
use super::io_uring::Provided;

/// Received bytes, read in place; dropping them returns the buffer to the shard.
///
/// Hold [lent](Self::is_lent) bytes at most until the end of the turn, and copy out what must be kept. A shard has a
/// bounded number of buffers for all its connections. The default value has no bytes and no memory.
pub struct Received(Buffer);

/// Where the bytes are.
enum Buffer {
    /// In a buffer that io_uring picked.
    Provided(Provided),
    /// In a buffer of the shard's pool, filled by recv(2).
    Pooled(Pooled),
    /// In memory of their own: received into while the ring's buffers were short, or copied out of a lent buffer.
    Owned(Vec<u8>),
}

impl Received {
    #[inline]
    pub(super) fn provided(bytes: Provided) -> Self {
        Self(Buffer::Provided(bytes))
    }

    #[inline]
    pub(super) fn pooled(bytes: Pooled) -> Self {
        Self(Buffer::Pooled(bytes))
    }

    /// Returns whether the shard has lent the buffer, so that it must return before the task waits.
    #[inline]
    #[must_use]
    pub fn is_lent(&self) -> bool {
        !matches!(self.0, Buffer::Owned(_))
    }

    /// Returns the bytes' own memory; a lent buffer returns to its shard instead.
    #[inline]
    #[must_use]
    pub fn into_owned(self) -> Option<Vec<u8>> {
        match self.0 {
            Buffer::Owned(bytes) => Some(bytes),
            Buffer::Provided(_) | Buffer::Pooled(_) => None,
        }
    }

    /// Returns the bytes' own memory to be changed, or `None` if the buffer is lent.
    #[inline]
    pub fn owned_mut(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.0 {
            Buffer::Owned(bytes) => Some(bytes),
            Buffer::Provided(_) | Buffer::Pooled(_) => None,
        }
    }
}

impl Default for Received {
    #[inline]
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl From<Vec<u8>> for Received {
    #[inline]
    fn from(bytes: Vec<u8>) -> Self {
        Self(Buffer::Owned(bytes))
    }
}

impl Deref for Received {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Buffer::Provided(bytes) => bytes,
            Buffer::Pooled(bytes) => bytes,
            Buffer::Owned(bytes) => bytes,
        }
    }
}

impl DerefMut for Received {
    /// Returns the bytes to be overwritten in place, by a decryption for example.
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Buffer::Provided(bytes) => bytes,
            Buffer::Pooled(bytes) => bytes,
            Buffer::Owned(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Received({} bytes)", self.len())
    }
}
