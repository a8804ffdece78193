//! A large content in memory as a stream of its slices, which takes no copy of the whole.

use core::pin::Pin;
use core::task::{Context as Task, Poll};

use bytes::Bytes;
use futures_core::Stream;

use crate::message::BoxError;

/// How long a slice is: 16 KiB, as long as a frame of HTTP/2.
pub(super) const SLICE_BYTES: usize = 16 * 1024;

/// The slices of a content, one after another.
pub(super) struct Slices(pub(super) Bytes);

impl Stream for Slices {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let length = self.0.len().min(SLICE_BYTES);
        Poll::Ready((length > 0).then(|| Ok(self.0.split_to(length))))
    }
}
