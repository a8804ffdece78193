//! Received bytes that are not used yet. They are read in place, in the buffer the kernel received into, and copied out
//! only if they stay beyond the turn.
//!
//! Invariant: a task holds no [lent](Received::is_lent) buffer while it waits; it calls [`Input::set_aside`] first.
//! Otherwise idle connections would use up the shard's receive buffers.

use squall_shards::Received;

use super::byte_stream::Buffers;
use crate::memory::{self, OutOfMemory};

/// Received bytes that wait to be read.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// As received, or, once [set aside](Self::set_aside), in memory of their own.
    buffer: Received,
    /// Number of unread bytes, at the end of the buffer.
    unread: usize,
}

impl From<Vec<u8>> for Input {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            unread: bytes.len(),
            buffer: Received::from(bytes),
        }
    }
}

impl Input {
    /// The unread bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        let read = self.buffer.len().saturating_sub(self.unread);
        self.buffer.get(read..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.unread == 0
    }

    /// Drops read bytes; returns the buffer once all are read.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize, socket: &impl Buffers) {
        self.unread = self.unread.saturating_sub(count);
        if self.is_empty() {
            self.clear(socket);
        }
    }

    /// Drops everything. Never inlined, so that [`consume`](Self::consume) can be.
    #[inline(never)]
    pub(crate) fn clear(&mut self, socket: &impl Buffers) {
        self.unread = 0;
        if let Some(owned) = std::mem::take(&mut self.buffer).into_owned() {
            socket.return_buffer(owned);
        }
    }

    /// Adds received bytes; they are read in place unless older bytes are unread.
    ///
    /// # Errors
    ///
    /// Memory is short. The received bytes are lost, so the caller must end the connection.
    pub(crate) fn push(&mut self, received: Received, socket: &impl Buffers) -> Result<(), OutOfMemory> {
        if self.is_empty() {
            self.unread = received.len();
            self.buffer = received;
            Ok(())
        } else {
            let appended = self.append(&received, socket);
            if let Some(owned) = received.into_owned() {
                socket.return_buffer(owned);
            }
            appended
        }
    }

    /// Appends received bytes to a copy of the unread ones.
    fn append(&mut self, received: &[u8], socket: &impl Buffers) -> Result<(), OutOfMemory> {
        self.set_aside(socket)?;
        if let Some(owned) = self.buffer.owned_mut() {
            owned.drain(..owned.len().saturating_sub(self.unread));
            memory::append(owned, received)?;
            self.unread = owned.len();
        }
        Ok(())
    }

    /// Copies unread bytes out of a lent buffer and returns that buffer.
    ///
    /// # Errors
    ///
    /// Memory is short. The buffer is returned anyway, and the bytes are lost.
    #[inline]
    pub(crate) fn set_aside(&mut self, socket: &impl Buffers) -> Result<(), OutOfMemory> {
        if self.buffer.is_lent() {
            self.copy_out(socket)
        } else {
            Ok(())
        }
    }

    fn copy_out(&mut self, socket: &impl Buffers) -> Result<(), OutOfMemory> {
        let mut owned = socket.take_buffer();
        let copied = memory::append(&mut owned, self.bytes());
        self.unread = owned.len();
        self.buffer = Received::from(owned);
        copied
    }
}
