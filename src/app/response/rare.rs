//! The parts that few responses have, in one box: a response without them pays for one pointer.

use super::compression::ContentEncoder;
use super::state::ResponseState;
use crate::app::shared::Shared;
use crate::app::websocket::Upgrade;
use crate::error::Error;
use crate::message::{BodyStream, Headers};

/// The parts that few responses have.
#[derive(Default)]
pub(super) struct RareParts {
    stream: Option<BodyStream>,
    /// The protocol that follows a 101.
    upgrade: Option<Box<Upgrade>>,
    trailers: Headers,
    /// Compresses the content as it leaves; set by [`Compression`](crate::middleware::Compression).
    encoder: Option<Box<ContentEncoder>>,
    /// The error that this response reports.
    error: Option<Error>,
}

static NO_TRAILERS: Headers = Headers::new();

impl ResponseState {
    pub(in crate::app) fn has_stream(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.stream.is_some())
    }

    pub(in crate::app) fn stream_mut(&mut self) -> Option<&mut BodyStream> {
        self.rare.as_mut()?.stream.as_mut()
    }

    pub(in crate::app) fn take_stream(&mut self) -> Option<BodyStream> {
        self.rare.as_mut()?.stream.take()
    }

    pub(in crate::app) fn set_stream(&mut self, stream: BodyStream) {
        self.rare_mut().stream = Some(stream);
    }

    pub(super) fn has_upgrade(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.upgrade.is_some())
    }

    pub(in crate::app) fn take_upgrade(&mut self) -> Option<Box<Upgrade>> {
        self.rare.as_mut()?.upgrade.take()
    }

    pub(in crate::app) fn set_upgrade(&mut self, upgrade: Box<Upgrade>) {
        self.rare_mut().upgrade = Some(upgrade);
    }

    pub(in crate::app) fn trailers(&self) -> &Headers {
        self.rare.as_ref().map_or(&NO_TRAILERS, |rare| &rare.trailers)
    }

    pub(in crate::app) fn take_trailers(&mut self) -> Headers {
        self.rare
            .as_mut()
            .map_or_else(Headers::new, |rare| core::mem::take(&mut rare.trailers))
    }

    pub(super) fn trailers_mut(&mut self) -> &mut Headers {
        &mut self.rare_mut().trailers
    }

    pub(super) fn encoder(&self) -> Option<&ContentEncoder> {
        self.rare.as_ref()?.encoder.as_deref()
    }

    pub(super) fn take_encoder(&mut self) -> Option<Box<ContentEncoder>> {
        self.rare.as_mut()?.encoder.take()
    }

    pub(super) fn set_encoder(&mut self, encoder: Box<ContentEncoder>) {
        self.rare_mut().encoder = Some(encoder);
    }

    pub(in crate::app) fn error(&self) -> Option<&Error> {
        self.rare.as_ref()?.error.as_ref()
    }

    /// Records the error that the response reports, and returns an earlier one.
    pub(super) fn replace_error(&mut self, error: Error) -> Option<Error> {
        self.rare_mut().error.replace(error)
    }

    fn rare_mut(&mut self) -> &mut RareParts {
        self.rare.get_or_insert_default()
    }
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
