//! What has arrived on a connection and is not yet used: read in place in the buffer the kernel received into, and copied out only
//! when it must be kept beyond the turn.
//!
//! Invariant: while a [`Received`] is held, nothing awaits. Whoever is about to wait calls [`Input::stash`] first, so that the shard's
//! receive buffers are never hoarded by connections that have nothing to do.

use squall_shards::{Received, Stream};

use crate::memory::{self, OutOfMemory};

/// Received bytes that wait to be read.
#[derive(Debug, Default)]
pub(crate) struct Input {
    source: Source,
    /// How many bytes at the end of the source have not been read.
    unread: usize,
}

#[derive(Debug, Default)]
enum Source {
    #[default]
    Nothing,
    /// The kernel's buffer.
    Received(Received),
    /// A copy of what was left of it, and of what came after.
    Kept(Vec<u8>),
}

impl Input {
    /// The bytes to be read next.
    pub(crate) fn bytes(&self) -> &[u8] {
        let all: &[u8] = match &self.source {
            Source::Nothing => &[],
            Source::Received(received) => received,
            Source::Kept(kept) => kept,
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
        if let Source::Kept(kept) = std::mem::take(&mut self.source) {
            stream.return_buffer(kept);
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
            self.source = Source::Received(received);
            Ok(())
        } else {
            self.append(&received, stream)
        }
    }

    /// Copies what has come behind what is left from before.
    fn append(&mut self, received: &[u8], stream: &Stream) -> Result<(), OutOfMemory> {
        self.stash(stream)?;
        if let Source::Kept(kept) = &mut self.source {
            kept.drain(..kept.len().saturating_sub(self.unread));
            memory::append(kept, received)?;
            self.unread = kept.len();
        }
        Ok(())
    }

    /// Copies what is left out of the kernel's buffer and gives the buffer back.
    ///
    /// # Errors
    ///
    /// There is no memory for the copy; the buffer is given back all the same.
    #[inline]
    pub(crate) fn stash(&mut self, stream: &Stream) -> Result<(), OutOfMemory> {
        match &self.source {
            Source::Received(_) => self.keep(stream),
            Source::Nothing | Source::Kept(_) => Ok(()),
        }
    }

    fn keep(&mut self, stream: &Stream) -> Result<(), OutOfMemory> {
        let mut kept = stream.take_buffer();
        let copied = memory::append(&mut kept, self.bytes());
        self.unread = kept.len();
        self.source = Source::Kept(kept);
        copied
    }
}
