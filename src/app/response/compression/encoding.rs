//! Content that is being compressed, piece by piece.
//!
//! Other tasks of the shard run between two pieces of [`PIECE_BYTES`].

use super::compressor::Boundary;
use super::pool::Lease;
use crate::app::yielding::{PIECE_BYTES, yield_now};
use crate::error::{Error, Result};

/// Content that is being compressed.
pub(super) struct Encoding {
    lease: Lease,
    /// Compressed content that is not flushed.
    output: Vec<u8>,
    /// How many bytes of the content that waits are in the output.
    taken: usize,
    /// How much content is to come, if the handler has announced it.
    announced_left: Option<u64>,
}

impl Encoding {
    pub(super) fn new(lease: Lease, announced: Option<u64>) -> Self {
        Self {
            lease,
            output: Vec::new(),
            taken: 0,
            announced_left: announced,
        }
    }

    /// Compresses the content that waits, except what is taken already.
    pub(super) async fn encode(&mut self, content: &[u8], boundary: Boundary) -> Result {
        loop {
            let rest = content.get(self.taken..).unwrap_or_default();
            let (piece, more) = rest.split_at(rest.len().min(PIECE_BYTES));
            if more.is_empty() {
                self.compress(piece, boundary)?;
                self.taken = 0;
                return Ok(());
            }
            self.compress(piece, Boundary::Content)?;
            self.taken += piece.len();
            yield_now().await;
        }
    }

    /// Compresses one piece.
    pub(super) fn compress(&mut self, piece: &[u8], boundary: Boundary) -> Result {
        if let Some(left) = &mut self.announced_left {
            let rest = left.checked_sub(piece.len() as u64);
            *left = rest.ok_or_else(|| Error::new("the content is longer than the Content-Length that was set"))?;
        }
        let compressor = self.lease.compressor();
        let compressor = compressor.ok_or_else(|| Error::new("could not compress: the content has ended"))?;
        compressor.compress(piece, boundary, &mut self.output)
    }

    pub(super) fn output_bytes(&self) -> usize {
        self.output.len()
    }

    /// Takes the compressed content so far.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.output)
    }

    /// Ends content whose end is compressed; returns the rest of the output.
    pub(super) fn finish(self) -> Result<Vec<u8>> {
        if self.announced_left.is_some_and(|left| left > 0) {
            return Err(Error::new(
                "the content is shorter than the Content-Length that was set",
            ));
        }
        self.lease.give_back();
        Ok(self.output)
    }
}
