//! What remains of a DATA frame while its bytes arrive.

use super::key::StreamKey;

/// The rest of a DATA frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    /// `None` if the content is dropped.
    pub(super) stream: Option<StreamKey>,
    pub(super) left: usize,
    pub(super) padding: usize,
    pub(super) ends_stream: bool,
}
