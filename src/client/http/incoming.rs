//! The content of a response, decompressed if the client has asked for compression.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header;

use super::error::FetchFailure;
use super::exchange::Exchange;
use crate::app::{Bounds, Coding, Decoder};
use crate::http1::ResponseError;
use crate::message::{HeaderValue, Headers, ResponseHead};

/// How many decompressed pieces are returned before other tasks get a turn: 64 of 32 KiB take some milliseconds.
const PIECES_AT_ONCE_MAX: u32 = 64;

/// The codings that the client asks for.
#[cfg(feature = "compression")]
const ACCEPTED: &str = "gzip, deflate, br, zstd";
#[cfg(not(feature = "compression"))]
const ACCEPTED: &str = "gzip, deflate";

/// The content of a response.
pub(super) struct Incoming {
    exchange: Exchange,
    decoder: Option<Box<Decoder>>,
    /// Whether the decoder has been given a byte. Without one the content is empty, and has no end to check.
    has_input: bool,
    /// A failure is final: what follows it is not the rest of the content.
    has_failed: bool,
    pieces: u32,
}

/// The value of `Accept-Encoding`.
pub(super) fn accepted() -> HeaderValue {
    HeaderValue::from_static(ACCEPTED)
}

impl Incoming {
    /// The content as it is.
    pub(super) fn new(exchange: Exchange) -> Self {
        Self {
            exchange,
            decoder: None,
            has_input: false,
            has_failed: false,
            pieces: 0,
        }
    }

    /// Decompresses the content, if its head names one coding that the client knows.
    pub(super) fn decompress(&mut self, head: &mut ResponseHead, inflated_bytes_max: u64) {
        let Some(coding) = known_coding(&head.headers).filter(|_| !self.exchange.is_over()) else {
            return;
        };
        // The client has asked for this content, so its size alone is bounded.
        let bounds = Bounds {
            bytes_max: inflated_bytes_max,
            ratio_max: u32::MAX,
        };
        self.decoder = Some(Box::new(Decoder::new(coding, bounds)));
        head.headers.remove(&header::CONTENT_ENCODING);
        head.headers.remove(&header::CONTENT_LENGTH);
    }

    /// Returns how many bytes are still to come, if known.
    pub(super) fn remaining(&self) -> Option<u64> {
        match self.decoder {
            None => self.exchange.remaining(),
            Some(_) => None,
        }
    }

    pub(super) fn trailers(&self) -> &Headers {
        self.exchange.trailers()
    }

    /// Returns the next piece; `None` at the end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FetchFailure>> {
        if self.has_failed {
            return Poll::Ready(Err(ResponseError::Truncated.into()));
        }
        if self.pieces >= PIECES_AT_ONCE_MAX {
            self.pieces = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = ready!(self.poll_decoded(cx));
        self.pieces += u32::from(self.decoder.is_some());
        Poll::Ready(piece.inspect_err(|_| {
            self.has_failed = true;
            self.exchange.abort();
        }))
    }

    fn poll_decoded(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FetchFailure>> {
        loop {
            if let Some(decoder) = &mut self.decoder
                && let Some(piece) = decoder.next_piece()?
            {
                return Poll::Ready(Ok(Some(piece)));
            }
            let piece = ready!(self.exchange.poll_data(cx))?;
            let Some(decoder) = &mut self.decoder else {
                return Poll::Ready(Ok(piece));
            };
            let Some(piece) = piece else {
                if self.has_input {
                    decoder.finish()?;
                }
                return Poll::Ready(Ok(None));
            };
            self.has_input = true;
            decoder.receive(piece);
        }
    }
}

/// The one coding of content that the client knows; `None` for several, and for others.
fn known_coding(fields: &Headers) -> Option<Coding> {
    let lines = fields.iter().filter(|(name, _)| **name == header::CONTENT_ENCODING);
    let mut codings = lines
        .flat_map(|(_, value)| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty());
    let coding = codings.next()?;
    Coding::of_response(coding).filter(|_| codings.next().is_none())
}
