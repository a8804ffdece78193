//! Received bytes that are not used yet. They are read in place, in the buffer the kernel received into, and copied out
//! only if they stay beyond the turn.
//!
//! Invariant: a task holds no [`Received`] while it waits; it calls [`Input::set_aside`] first. Otherwise idle
//! connections would use up the shard's receive buffers.

use squall_shards::Received;

use super::socket::Socket;
use crate::memory::{self, OutOfMemory};

/// Received bytes that wait to be read.
#[derive(Debug, Default)]
pub(crate) struct Input {
    source: Buffer,
    /// Number of unread bytes, at the end of the buffer.
    unread: usize,
}

#[derive(Debug, Default)]
enum Buffer {
    #[default]
    Nothing,
    /// The kernel's buffer.
    Received(Received),
    /// A copy of its unread bytes, and of bytes received later.
    Leftover(Vec<u8>),
}

impl Input {
    /// The unread bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        let all: &[u8] = match &self.source {
            Buffer::Nothing => &[],
            Buffer::Received(received) => received,
            Buffer::Leftover(leftover) => leftover,
        };
        let read = all.len().saturating_sub(self.unread);
        all.get(read..).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unread == 0
    }

    /// Drops read bytes; returns the buffer once all are read.
    pub(crate) fn consume(&mut self, count: usize, socket: &Socket) {
        self.unread = self.unread.saturating_sub(count);
        if self.is_empty() {
            self.clear(socket);
        }
    }

    /// Drops everything. Never inlined, so that [`consume`](Self::consume) can be.
    #[inline(never)]
    pub(crate) fn clear(&mut self, socket: &Socket) {
        self.unread = 0;
        if let Buffer::Leftover(leftover) = std::mem::take(&mut self.source) {
            socket.return_buffer(leftover);
        }
    }

    /// Adds received bytes; they are read in place unless older bytes are unread.
    ///
    /// # Errors
    ///
    /// Memory is short. The received bytes are lost, so the caller must end the connection.
    pub(crate) fn push(&mut self, received: Received, socket: &Socket) -> Result<(), OutOfMemory> {
        if self.is_empty() {
            self.unread = received.len();
            self.source = Buffer::Received(received);
            Ok(())
        } else {
            self.append(&received, socket)
        }
    }

    /// Appends received bytes to a copy of the unread ones.
    fn append(&mut self, received: &[u8], socket: &Socket) -> Result<(), OutOfMemory> {
        self.set_aside(socket)?;
        if let Buffer::Leftover(leftover) = &mut self.source {
            leftover.drain(..leftover.len().saturating_sub(self.unread));
            memory::append(leftover, received)?;
            self.unread = leftover.len();
        }
        Ok(())
    }

    /// Copies unread bytes out of the kernel's buffer and returns that buffer.
    ///
    /// # Errors
    ///
    /// Memory is short. The buffer is returned anyway, and the bytes are lost.
    #[inline]
    pub(crate) fn set_aside(&mut self, socket: &Socket) -> Result<(), OutOfMemory> {
        match &self.source {
            Buffer::Received(_) => self.copy_leftover(socket),
            Buffer::Nothing | Buffer::Leftover(_) => Ok(()),
        }
    }

    fn copy_leftover(&mut self, socket: &Socket) -> Result<(), OutOfMemory> {
        let mut leftover = socket.take_buffer();
        let copied = memory::append(&mut leftover, self.bytes());
        self.unread = leftover.len();
        self.source = Buffer::Leftover(leftover);
        copied
    }
}
