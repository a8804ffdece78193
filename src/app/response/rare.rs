//! The parts that few responses have, in one box: a response without them pays for one pointer.

use super::compression::ContentEncoder;
use crate::app::shared::Shared;
use crate::app::websocket::Upgrade;
use crate::error::Error;
use crate::message::{BodyStream, Headers};

/// The parts that few responses have.
#[derive(Default)]
pub(super) struct RareParts {
    pub(super) stream: Option<BodyStream>,
    /// The protocol that follows a 101, or the 200 to an extended CONNECT.
    pub(super) upgrade: Option<Box<Upgrade>>,
    pub(super) trailers: Headers,
    /// Compresses the content as it leaves; set by [`Compression`](crate::middleware::Compression).
    pub(super) encoder: Option<Box<ContentEncoder>>,
    /// The error that this response reports.
    pub(super) error: Option<Error>,
}

impl RareParts {
    pub(super) fn encoder_mut(&mut self) -> Option<&mut ContentEncoder> {
        self.encoder.as_deref_mut()
    }

    /// Clears what an error page replaces: all but the error, and the encoder, which begins again.
    #[cold]
    pub(super) fn clear(&mut self, shared: &Shared) {
        if let Some(stream) = self.stream.take() {
            shared.discard(stream);
        }
        if let Some(upgrade) = self.upgrade.take() {
            shared.discard(upgrade);
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.restart();
        }
        self.trailers.clear();
    }

    /// Drops everything; the values of the application under a panic guard.
    #[cold]
    pub(super) fn discard(mut self, shared: &Shared) {
        self.clear(shared);
        if let Some(error) = self.error.take() {
            shared.discard(error);
        }
    }
}
