//! Bytes to be sent, as a task passes them to its stream.

use std::time::Instant;

use bytes::Bytes;

/// How many parts one vectored send may have; the kernel's `UIO_MAXIOV`.
pub const SEND_PARTS_MAX: usize = 1024;

/// Owned or shared bytes to be sent.
#[derive(Debug)]
pub enum SendBuffer {
    /// A buffer of the caller, returned to the shard's pool once sent
    /// ([`Stream::take_buffer`](crate::Stream::take_buffer)).
    Owned(Vec<u8>),
    /// Shared bytes, such as one frame sent to many sockets.
    Shared(Bytes),
    /// Shared parts, sent with at most [`SEND_PARTS_MAX`] per system call.
    Vectored(Vec<Bytes>),
}

impl SendBuffer {
    /// Returns the number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Vectored(parts) => parts.iter().map(Bytes::len).sum(),
        }
    }

    /// Returns whether the number of bytes is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<u8>> for SendBuffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

impl From<Bytes> for SendBuffer {
    fn from(bytes: Bytes) -> Self {
        Self::Shared(bytes)
    }
}

impl From<Vec<Bytes>> for SendBuffer {
    fn from(parts: Vec<Bytes>) -> Self {
        Self::Vectored(parts)
    }
}

/// The progress of sending on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes the kernel has taken since the stream began.
    pub bytes: u64,
    /// When the kernel last took a part of the current buffer; `None` if it has taken nothing of it, or all.
    pub advanced: Option<Instant>,
}
