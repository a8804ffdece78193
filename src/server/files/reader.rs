//! Large files: sent piece by piece, in constant memory.
//!
//! Invariant: a response has bytes of one version of its file. After each piece is read, the file's times are compared;
//! a file that was written or cut meanwhile fails the stream, which cuts the connection. A file that was replaced under
//! its name stays open and goes on.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use squall_shards::file::{DiskWait, File, FileIdentity, Metadata};
use squall_shards::{BlockingTask, spawn_blocking};

use super::versions;
use crate::app::{FileReader, FileVersion, OpenFile};
use crate::memory;
use crate::message::{BodyStream, BoxError};

/// How many bytes are read at once: 64 KiB, as many as the connection sends at once.
const PIECE_BYTES: usize = 64 * 1024;

/// How many pieces are read before other tasks of the shard get their turn. 4: about 100 µs of copying.
const PIECES_AT_ONCE_MAX: u32 = 4;

/// Returns the opaque part of the entity tag of a large file: of its identity, so that no content is read for it.
pub(super) fn tag(identity: &FileIdentity) -> FileVersion {
    FileVersion::of(&identity.to_bytes())
}

/// An open file that is too large to be kept in memory.
pub(super) struct LargeFile {
    file: Arc<File>,
    metadata: Metadata,
}

impl LargeFile {
    /// Makes what the application gets.
    pub(super) fn open(file: Arc<File>, metadata: Metadata) -> OpenFile {
        let (tag, reader) = (tag(metadata.identity()), Rc::new(Self { file, metadata }));
        OpenFile::large(reader, metadata.bytes(), tag, metadata.modified())
    }

    fn identity(&self) -> &FileIdentity {
        self.metadata.identity()
    }
}

impl FileReader for LargeFile {
    fn read(self: Rc<Self>, range: Range<u64>) -> BodyStream {
        Box::pin(Pieces {
            file: self,
            rest: range,
            waiting: None,
            in_a_row: 0,
        })
    }

    fn version_now(&self) -> Option<FileVersion> {
        versions::known(self.identity())
    }

    fn version(self: Rc<Self>) -> Pin<Box<dyn Future<Output = Option<FileVersion>>>> {
        Box::pin(async move { versions::compute(Arc::clone(&self.file), self.metadata).await })
    }
}

/// What one read returned.
type Read = io::Result<Vec<u8>>;

/// The bytes of a range, piece by piece.
struct Pieces {
    file: Rc<LargeFile>,
    rest: Range<u64>,
    /// A read that waits for the disk.
    waiting: Option<BlockingTask<Read>>,
    in_a_row: u32,
}

impl Stream for Pieces {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        if this.waiting.is_none() {
            // A peer that takes everything at once would otherwise hold the shard for the whole file.
            if this.in_a_row >= PIECES_AT_ONCE_MAX {
                this.in_a_row = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match this.file.read_piece(&this.rest, DiskWait::Refused) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let (file, metadata, rest) = (Arc::clone(&this.file.file), this.file.metadata, this.rest.clone());
                    this.waiting = Some(spawn_blocking(move || {
                        read_piece(&file, &metadata, &rest, DiskWait::Allowed)
                    }));
                }
                read => {
                    this.in_a_row += 1;
                    return Poll::Ready(Some(this.take(read)));
                }
            }
        }
        let Some(waiting) = &mut this.waiting else {
            return Poll::Pending;
        };
        Pin::new(waiting).poll(cx).map(|read| {
            this.waiting = None;
            this.in_a_row = 0;
            Some(this.take(read.unwrap_or_else(|error| Err(io::Error::other(error)))))
        })
    }
}

impl Pieces {
    fn take(&mut self, read: Read) -> Result<Bytes, BoxError> {
        let piece = read?;
        self.rest.start += piece.len() as u64;
        Ok(Bytes::from(piece))
    }
}

impl LargeFile {
    fn read_piece(&self, rest: &Range<u64>, wait: DiskWait) -> Read {
        read_piece(&self.file, &self.metadata, rest, wait)
    }
}

/// Reads the next piece, at least one byte.
fn read_piece(file: &File, metadata: &Metadata, rest: &Range<u64>, wait: DiskWait) -> Read {
    let left = usize::try_from(rest.end - rest.start).unwrap_or(usize::MAX);
    let length = left.min(PIECE_BYTES);
    let mut piece = Vec::new();
    memory::make_room(&mut piece, length)?;
    piece.resize(length, 0);
    let read = file.read_at(&mut piece, rest.start, wait)?;
    if read == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file was cut while it was sent",
        ));
    }
    if !file.metadata()?.has_same_content(metadata) {
        return Err(io::Error::other("the file was written while it was sent"));
    }
    piece.truncate(read);
    Ok(piece)
}
