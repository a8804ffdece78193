//! A response as a client receives it.

use serde::de::DeserializeOwned;

use super::content::{Content, Piece};
use super::wire::Wire;
use crate::error::{Error, Result};
use crate::http1::{ResponseError, ResponseReader};
use crate::message::{HeaderName, Headers, Method, ResponseHead, StatusCode};

/// A response as a client receives it.
#[derive(Debug, Clone, Default)]
pub struct TestResponse {
    status: StatusCode,
    headers: Headers,
    content: Vec<u8>,
    trailers: Headers,
    aborted: bool,
}

/// Reads the head of the final response.
pub(super) fn read_head(wire: &mut Wire) -> Result<ResponseHead> {
    let mut reader = ResponseReader::default();
    loop {
        let mut rest = wire.received();
        let presented = rest.len();
        let head = reader.receive(&mut rest)?;
        let consumed = presented - rest.len();
        wire.consume(consumed);
        if let Some(head) = head {
            return Ok(head);
        }
        if !wire.receive()? {
            return Err(ResponseError::Truncated.into());
        }
    }
}

/// For responses that do not arrive as text.
impl TestResponse {
    /// Sets the head.
    pub(super) fn begin(&mut self, status: StatusCode, headers: Headers) {
        self.status = status;
        self.headers = headers;
    }

    pub(super) fn push(&mut self, content: &[u8]) {
        self.content.extend_from_slice(content);
    }

    pub(super) fn end(&mut self, trailers: Headers) {
        self.trailers = trailers;
    }

    /// Returns the response as one that was broken off.
    pub(super) fn aborted(mut self) -> Self {
        self.aborted = true;
        self
    }

    /// Whether the head has come: every response has a date.
    pub(super) fn has_begun(&self) -> bool {
        !self.headers.is_empty()
    }
}

impl TestResponse {
    /// Reads a response to a request of this method, to its end.
    pub(super) fn read(wire: &mut Wire, method: &Method) -> Result<Self> {
        let head = read_head(wire)?;
        let mut content = Content::of(&head, method)?;
        let mut response = Self {
            status: head.status,
            headers: head.headers,
            ..Self::default()
        };
        loop {
            match content.next(wire)? {
                Piece::Data(data) => response.content.extend_from_slice(&data),
                Piece::End(trailers) => {
                    response.trailers = trailers;
                    return Ok(response);
                }
                Piece::Cut => {
                    response.aborted = true;
                    return Ok(response);
                }
            }
        }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns all fields, with those that the server adds: `Date`, and the length or the coding of the content.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the first value of a field if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&HeaderName::try_from(name).ok()?)?.to_str().ok()
    }

    /// Returns the content, which is empty for HEAD.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.content
    }

    /// Returns the content as text; invalid UTF-8 is replaced by U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// Decodes the content as JSON.
    ///
    /// # Errors
    ///
    /// The content is not JSON, or does not fit `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.content).map_err(Error::from)
    }

    /// Returns the trailer fields.
    #[must_use]
    pub fn trailers(&self) -> &Headers {
        &self.trailers
    }

    /// Returns whether the connection was closed in the middle of the response.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.aborted
    }
}
