//! The part of a request's content that its context stores.

use bytes::Bytes;

/// The part of a request's content that its context stores.
#[derive(Debug)]
pub(in crate::app) struct RequestBody {
    pub(super) bytes_max: u64,
    /// The content, once it has been read whole.
    pub(super) whole: Option<Bytes>,
}

impl RequestBody {
    pub(in crate::app) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, whole: None }
    }

    pub(in crate::app) fn reset(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
        self.whole = None;
    }
}
