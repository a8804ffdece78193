//! The head of a response: status and fields.
//!
//! The protocol adds the framing fields (`Content-Length`, `Transfer-Encoding`, `Connection`, `Date`) when it writes
//! the head.

use http::{StatusCode, header};

use super::{Headers, MediaType, ReasonPhrase};

/// The status and fields of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: StatusCode,
    /// The reason phrase of any status but 200; without one, the registered phrase is sent.
    pub reason: Option<ReasonPhrase>,
    /// The fields the application set.
    pub headers: Headers,
    /// The `Content-Type` that the first content chose; [`default_content_type`](Self::default_content_type) tells
    /// whether the peer gets it.
    ///
    /// It is separate because nearly every response has one: a static text needs no list entry and no drop.
    pub content_type: Option<MediaType>,
}

impl ResponseHead {
    /// Makes a head with a status and no fields.
    #[must_use]
    pub const fn new(status: StatusCode) -> Self {
        Self {
            status,
            reason: None,
            headers: Headers::new(),
            content_type: None,
        }
    }

    /// Returns the `Content-Type` to send after `headers`, if they have none.
    #[inline]
    #[must_use]
    pub fn default_content_type(&self) -> Option<MediaType> {
        self.content_type
            .filter(|_| !self.headers.contains(&header::CONTENT_TYPE))
    }

    /// Returns all fields that the peer receives, with the default `Content-Type`.
    #[must_use]
    pub fn fields(&self) -> Headers {
        let mut fields = self.headers.clone();
        if let Some(media_type) = self.default_content_type() {
            fields.add(header::CONTENT_TYPE, media_type.header_value());
        }
        fields
    }

    /// Resets to 200 without fields and retains the memory.
    pub fn clear(&mut self) {
        self.status = StatusCode::OK;
        if self.reason.is_some() {
            self.reason = None;
        }
        self.headers.clear();
        self.content_type = None;
    }
}

/// Returns whether a response with this status never has content (RFC 9110 §15.2, §15.3.5, §15.3.6, §15.4.5).
#[must_use]
pub fn has_no_content(status: StatusCode) -> bool {
    status.is_informational()
        || matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        )
}
