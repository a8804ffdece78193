//! Bytes on their way out, as a task hands them to its stream.

use std::time::Instant;

use bytes::Bytes;

/// How many parts one vectored send may have: the kernel's UIO_MAXIOV.
pub const SEND_PARTS_MAX: usize = 1024;

/// Bytes to be sent, owned.
#[derive(Debug)]
pub enum SendBuffer {
    /// A buffer of the caller's, taken back into the shard's pool ([`Stream::take_buffer`](crate::Stream::take_buffer)) once sent.
    Owned(Vec<u8>),
    /// Shared bytes, such as one frame on its way to many sockets.
    Shared(Bytes),
    /// Several shared pieces in one system call, at most [`SEND_PARTS_MAX`] at a time.
    Vectored(Vec<Bytes>),
}

impl SendBuffer {
    /// How many bytes there are in all.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Vectored(parts) => parts.iter().map(Bytes::len).sum(),
        }
    }

    /// Whether there is nothing to send.
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

/// How far sending on a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// How many bytes the kernel has taken since the stream began.
    pub bytes: u64,
    /// When the kernel last took a part of the buffer that is being sent; `None` where it has taken no part of it, or all.
    pub advanced: Option<Instant>,
}
