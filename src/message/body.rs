//! The body of a response as an application passes it: empty, bytes, or a stream of bytes.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

/// Any error of a body stream, which stays on its shard and need not be `Send`.
pub type BoxError = Box<dyn std::error::Error>;

/// A stream of chunks.
///
/// An error closes the connection, so the peer can tell that the body is truncated.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>>>>;

/// A response body.
#[derive(Default)]
pub enum Body {
    /// No content.
    #[default]
    Empty,
    /// Complete content; its length is sent as `Content-Length`.
    Bytes(Bytes),
    /// Content in pieces, sent chunked unless the application sets `Content-Length`.
    Stream(BodyStream),
}

impl Body {
    /// Makes a body from a stream of chunks, whose errors go to the log.
    ///
    /// An error is any `std::error::Error`, a [`squall::Error`](crate::Error), a boxed error, or text.
    pub fn stream<E: Into<BoxError>>(stream: impl Stream<Item = Result<Bytes, E>> + 'static) -> Self {
        Self::Stream(Box::pin(BoxedErrors(Box::pin(stream))))
    }

    /// Whether the body lacks content; a stream counts as content.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Stream(_) => false,
        }
    }

    /// The replacement for a stream that has ended.
    pub(crate) fn empty_stream() -> BodyStream {
        Box::pin(EmptyStream)
    }
}

/// A stream that has ended; it has size zero, so boxing it allocates nothing.
struct EmptyStream;

impl Stream for EmptyStream {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

/// A stream that boxes the errors of another.
struct BoxedErrors<S>(Pin<Box<S>>);

impl<S, E> Stream for BoxedErrors<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(task).map_err(Into::into)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
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
