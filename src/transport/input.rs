//! What has arrived on a connection and is not yet used: read in place in the buffer the kernel received into, and copied out only
//! when it must be leftover beyond the turn.
//!
//! Invariant: while a [`Received`] is held, nothing awaits. Whoever is about to wait calls [`Input::set_aside`] first, so that the shard's
//! receive buffers are never hoarded by connections that have nothing to do.

use squall_shards::{Received, Stream};

use crate::memory::{self, OutOfMemory};

/// Received bytes that wait to be read.
#[derive(Debug, Default)]
pub(crate) struct Input {
    source: Buffer,
    /// How many bytes at the end of the source have not been read.
    unread: usize,
}

#[derive(Debug, Default)]
enum Buffer {
    #[default]
    Nothing,
    /// The kernel's buffer.
    Received(Received),
    /// A copy of what was left of it, and of what came after.
    Leftover(Vec<u8>),
}

impl Input {
    /// The bytes to be read next.
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

    /// Drops what was read, and gives back the buffer once all of it was.
    pub(crate) fn consume(&mut self, count: usize, stream: &Stream) {
        self.unread = self.unread.saturating_sub(count);
        if self.is_empty() {
            self.clear(stream);
        }
    }

    /// Forgets everything. Never inlined, so that [`consume`](Self::consume) can be.
    #[inline(never)]
    pub(crate) fn clear(&mut self, stream: &Stream) {
        self.unread = 0;
        if let Buffer::Leftover(leftover) = std::mem::take(&mut self.source) {
            stream.return_buffer(leftover);
        }
    }

    /// Adds what has come. It is read in place unless something is left from before.
    ///
    /// # Errors
    ///
    /// There is no memory for both. What has come is lost, so the connection is of no use any more.
    pub(crate) fn push(&mut self, received: Received, stream: &Stream) -> Result<(), OutOfMemory> {
        if self.is_empty() {
            self.unread = received.len();
            self.source = Buffer::Received(received);
            Ok(())
        } else {
            self.append(&received, stream)
        }
    }

    /// Copies what has come behind what is left from before.
    fn append(&mut self, received: &[u8], stream: &Stream) -> Result<(), OutOfMemory> {
        self.set_aside(stream)?;
        if let Buffer::Leftover(leftover) = &mut self.source {
            leftover.drain(..leftover.len().saturating_sub(self.unread));
            memory::append(leftover, received)?;
            self.unread = leftover.len();
        }
        Ok(())
    }

    /// Copies what is left out of the kernel's buffer and gives the buffer back.
    ///
    /// # Errors
    ///
    /// There is no memory for the copy; the buffer is given back all the same.
    #[inline]
    pub(crate) fn set_aside(&mut self, stream: &Stream) -> Result<(), OutOfMemory> {
        match &self.source {
            Buffer::Received(_) => self.copy_leftover(stream),
            Buffer::Nothing | Buffer::Leftover(_) => Ok(()),
        }
    }

    fn copy_leftover(&mut self, stream: &Stream) -> Result<(), OutOfMemory> {
        let mut leftover = stream.take_buffer();
        let copied = memory::append(&mut leftover, self.bytes());
        self.unread = leftover.len();
        self.source = Buffer::Leftover(leftover);
        copied
    }
}
