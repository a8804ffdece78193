//! Bytes received on a stream, of either driver.

use std::fmt;
use std::ops::Deref;

use super::{epoll, io_uring};

/// Received bytes, read in place; dropping them returns the buffer to the kernel.
///
/// Hold them at most until the end of the turn, and copy out what must be kept. A shard has a bounded number of buffers
/// for all its connections.
pub struct Received(DriverBuffer);

enum DriverBuffer {
    Ring(io_uring::Received),
    Epoll(epoll::Received),
}

impl From<io_uring::Received> for Received {
    fn from(received: io_uring::Received) -> Self {
        Self(DriverBuffer::Ring(received))
    }
}

impl From<epoll::Received> for Received {
    fn from(received: epoll::Received) -> Self {
        Self(DriverBuffer::Epoll(received))
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            DriverBuffer::Ring(received) => received,
            DriverBuffer::Epoll(received) => received,
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Received({} bytes)", self.len())
    }
}
