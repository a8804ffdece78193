//! A response: its head, and its content as the application reads it.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use serde::de::DeserializeOwned;
use url::Url;

use super::error::{FetchError, FetchFailure};
use super::incoming::Incoming;
use crate::memory;
use crate::message::{Body, HeaderValue, Headers, ResponseHead, StatusCode};

/// A response, whose content is read as it arrives (Tornado's `HTTPResponse`).
///
/// What the application does not read stays in the socket, and TCP slows the server down. Dropping a response that was
/// not read to its end closes its connection.
#[must_use = "dropping a response closes its connection"]
pub struct Response {
    head: ResponseHead,
    url: Url,
    incoming: Incoming,
    body_bytes_max: u64,
}

impl Response {
    pub(super) fn new(head: ResponseHead, url: Url, incoming: Incoming, body_bytes_max: u64) -> Self {
        Self {
            head,
            url,
            incoming,
            body_bytes_max,
        }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Returns the fields, in the order received.
    ///
    /// Of content that the client decompresses, `Content-Encoding` and `Content-Length` are removed.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.head.headers
    }

    /// Returns the first value of a field (any case), if it is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |field: &http::HeaderName| field.as_str().eq_ignore_ascii_case(name);
        let (_, value) = self.head.headers.iter().find(|(field, _)| named(field))?;
        HeaderValue::to_str(value).ok()
    }

    /// Returns the head: status, reason and fields.
    #[must_use]
    pub fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// Returns the URL that gave this response, after redirects.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Returns how many bytes of content are still to come, if known; compressed content is unknown.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.incoming.remaining()
    }

    /// Returns the trailer fields (RFC 9110 §6.5), which are complete once all content has been read.
    #[must_use]
    pub fn trailers(&self) -> &Headers {
        self.incoming.trailers()
    }

    /// Returns the response if its status is below 400.
    ///
    /// # Errors
    ///
    /// The status is 400 or above; [`FetchError::status`] returns it.
    pub fn error_for_status(self) -> Result<Self, FetchError> {
        match self.head.status.as_u16() >= 400 {
            true => Err(self.failed(FetchFailure::Status(self.head.status))),
            false => Ok(self),
        }
    }

    /// Reads the next piece of the content, as large as it arrived; `None` at the end.
    ///
    /// # Errors
    ///
    /// The connection broke, the server sent nothing in time, or the content breaks its framing or its coding. Every later
    /// call fails too.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the piece is returned by the next call.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let piece = poll_fn(|cx| self.incoming.poll_piece(cx)).await;
        piece.map_err(|failure| self.failed(failure))
    }

    /// Reads the whole content, at most `max_body_bytes`.
    ///
    /// # Errors
    ///
    /// The content is larger; otherwise as [`next_chunk`](Self::next_chunk).
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, the response is lost, and its connection closes.
    pub async fn bytes(mut self) -> Result<Bytes, FetchError> {
        let bytes_max = self.body_bytes_max;
        if self.content_length().is_some_and(|length| length > bytes_max) {
            return Err(self.failed(FetchFailure::TooLarge(bytes_max)));
        }
        let first = self.next_chunk().await?.unwrap_or_default();
        // Most content is one piece, which needs no copy.
        let Some(second) = self.next_chunk().await? else {
            return match first.len() as u64 > bytes_max {
                true => Err(self.failed(FetchFailure::TooLarge(bytes_max))),
                false => Ok(first),
            };
        };
        let mut whole = Vec::new();
        let mut next = Some(second);
        memory::append(&mut whole, &first).map_err(|error| self.failed(error.into()))?;
        while let Some(piece) = next {
            if (whole.len() + piece.len()) as u64 > bytes_max {
                return Err(self.failed(FetchFailure::TooLarge(bytes_max)));
            }
            memory::append(&mut whole, &piece).map_err(|error| self.failed(error.into()))?;
            next = self.next_chunk().await?;
        }
        Ok(Bytes::from(whole))
    }

    /// Reads the whole content as text in UTF-8.
    ///
    /// # Errors
    ///
    /// The content is not UTF-8; otherwise as [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Self::bytes).
    pub async fn text(self) -> Result<String, FetchError> {
        let url = self.url.clone();
        let bytes = self.bytes().await?;
        let text = String::from_utf8(Vec::from(bytes));
        text.map_err(|_| FetchError::new(url.as_str(), FetchFailure::NotText))
    }

    /// Reads the whole content as JSON, whatever its type.
    ///
    /// # Errors
    ///
    /// The content is not JSON, is nested deeper than 128 levels, or does not fit `T`; otherwise as
    /// [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Self::bytes).
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, FetchError> {
        let url = self.url.clone();
        let bytes = self.bytes().await?;
        let value = serde_json::from_slice(&bytes);
        value.map_err(|error| FetchError::new(url.as_str(), FetchFailure::Json(error.to_string())))
    }

    /// Returns the content as a body, to be passed on in pieces; its errors break the other response off.
    #[must_use]
    pub fn into_body(self) -> Body {
        match self.incoming.remaining() {
            Some(0) => Body::Empty,
            _ => Body::stream(Pieces(self)),
        }
    }

    fn failed(&self, failure: FetchFailure) -> FetchError {
        FetchError::new(self.url.as_str(), failure)
    }
}

/// The content of a response as a stream.
struct Pieces(Response);

impl Stream for Pieces {
    type Item = Result<Bytes, FetchError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(self.0.incoming.poll_piece(cx));
        Poll::Ready(piece.map_err(|failure| self.0.failed(failure)).transpose())
    }
}

impl fmt::Debug for Response {
    /// Shows the status and the URL without its query; fields and content may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Response")
            .field("status", &self.head.status)
            .field("url", &crate::client::error::shown(self.url.as_str()))
            .finish_non_exhaustive()
    }
}
