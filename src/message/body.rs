//! The body of a response as an application hands it over: nothing, bytes, or a stream of bytes.

use core::fmt;
use core::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;

/// Any error, for a body stream that fails half-way.
pub type BoxError = Box<dyn std::error::Error>;

/// A stream of chunks; an error cuts the connection, so that the peer cannot take a truncated body for a whole one.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>>>>;

/// A response body.
#[derive(Default)]
pub enum Body {
    /// No content.
    #[default]
    Empty,
    /// Content that is all there; its length goes into `Content-Length`.
    Bytes(Bytes),
    /// Content that comes in pieces; sent chunked unless the application set `Content-Length`.
    Stream(BodyStream),
}

impl Body {
    /// Makes a body from a stream of chunks.
    pub fn stream(stream: impl Stream<Item = Result<Bytes, BoxError>> + 'static) -> Self {
        Self::Stream(Box::pin(stream))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("Empty"),
            Self::Bytes(bytes) => write!(formatter, "Bytes({})", bytes.len()),
            Self::Stream(_) => formatter.write_str("Stream"),
        }
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Bytes(bytes)
        }
    }
}
