//! A stream whose chunks are compressed.
//!
//! While the source is ready, its chunks are compressed together. When it has nothing ready, everything so far is
//! flushed, so that no data waits in the compressor.

use core::pin::Pin;
use core::task::{Context as Task, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::compressor::Boundary;
use super::encoding::Encoding;
use crate::app::yielding::PIECE_BYTES;
use crate::error::Result;
use crate::message::{BodyStream, BoxError};

/// How much compressed content makes a chunk: 16 KiB.
const CHUNK_BYTES: usize = 16 * 1024;

/// The compressed chunks of a stream.
pub(super) struct EncodedStream {
    source: BodyStream,
    /// `None` after the end.
    encoding: Option<Encoding>,
    /// The rest of the source's last chunk.
    rest: Bytes,
    /// Whether the compressor may hold content back.
    is_dirty: bool,
    /// How many bytes were compressed since other tasks have run.
    bytes_in_turn: usize,
}

impl EncodedStream {
    pub(super) fn new(source: BodyStream, encoding: Encoding) -> Self {
        Self {
            source,
            encoding: Some(encoding),
            rest: Bytes::new(),
            is_dirty: true,
            bytes_in_turn: 0,
        }
    }

    /// Compresses the next piece, or waits for one; `None` after the end.
    fn poll_output(&mut self, task: &mut Task<'_>) -> Poll<Result<Option<Bytes>, BoxError>> {
        loop {
            let Some(encoding) = &mut self.encoding else {
                return Poll::Ready(Ok(None));
            };
            if encoding.output_bytes() >= CHUNK_BYTES {
                return Poll::Ready(Ok(Some(encoding.take_output().into())));
            }
            if self.bytes_in_turn >= PIECE_BYTES {
                self.bytes_in_turn = 0;
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.rest.is_empty() {
                match self.source.as_mut().poll_next(task)? {
                    Poll::Ready(Some(chunk)) => self.rest = chunk,
                    Poll::Ready(None) => {
                        encoding.compress(&[], Boundary::End)?;
                        let last = self.encoding.take().map(Encoding::finish).transpose()?;
                        return Poll::Ready(Ok(last.map(Bytes::from)));
                    }
                    Poll::Pending if core::mem::take(&mut self.is_dirty) => {
                        encoding.compress(&[], Boundary::Flush)?;
                        return Poll::Ready(Ok(Some(encoding.take_output().into())));
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
            let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
            encoding.compress(&piece, Boundary::Content)?;
            self.is_dirty = true;
            self.bytes_in_turn += piece.len();
        }
    }
}

impl Stream for EncodedStream {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        self.poll_output(task).map(Result::transpose)
    }
}
