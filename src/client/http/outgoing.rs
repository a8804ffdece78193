//! The content of a request, piece by piece.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::http1::RequestLength;
use crate::message::{Body, BodyStream, BoxError};

/// Content that is still to be sent.
#[derive(Default)]
pub(super) enum Outgoing {
    /// Nothing more.
    #[default]
    Nothing,
    Bytes(Bytes),
    Stream(BodyStream),
}

impl Outgoing {
    /// Takes the content for one attempt. Bytes stay for another; a stream is read once and leaves nothing.
    pub(super) fn take(body: &mut Body) -> Self {
        match body {
            Body::Empty => Self::Nothing,
            Body::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Body::Stream(stream) => Self::Stream(std::mem::replace(stream, Body::empty_stream())),
        }
    }

    pub(super) fn length(&self) -> RequestLength {
        match self {
            Self::Nothing => RequestLength::Empty,
            Self::Bytes(bytes) => RequestLength::Known(bytes.len() as u64),
            Self::Stream(_) => RequestLength::Unknown,
        }
    }

    /// Returns the next piece; `None` at the end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        match std::mem::take(self) {
            Self::Nothing => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(bytes))),
            Self::Stream(mut stream) => {
                let polled = stream.as_mut().poll_next(cx);
                if !matches!(polled, Poll::Ready(None)) {
                    *self = Self::Stream(stream);
                }
                polled
            }
        }
    }
}
