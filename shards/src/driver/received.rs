//! Bytes received on a stream, of either driver.

use std::fmt;
use std::ops::Deref;

use super::epoll::Pooled;
use super::io_uring::Provided;

/// Received bytes, read in place; dropping them returns the buffer to the kernel.
///
/// Hold them at most until the end of the turn, and copy out what must be kept. A shard has a bounded number of buffers
/// for all its connections.
pub struct Received(Buffer);

/// Where the bytes are.
enum Buffer {
    /// In a buffer that io_uring picked.
    Provided(Provided),
    /// In the stream's own buffer, received into while the ring's were short.
    Plain(Vec<u8>),
    /// In a buffer of the shard's pool, filled by recv(2).
    Pooled(Pooled),
}

impl Received {
    pub(super) fn provided(bytes: Provided) -> Self {
        Self(Buffer::Provided(bytes))
    }

    pub(super) fn plain(bytes: Vec<u8>) -> Self {
        Self(Buffer::Plain(bytes))
    }

    pub(super) fn pooled(bytes: Pooled) -> Self {
        Self(Buffer::Pooled(bytes))
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Buffer::Provided(bytes) => bytes,
            Buffer::Plain(bytes) => bytes,
            Buffer::Pooled(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Received({} bytes)", self.len())
    }
}
