//! The head of a response: status and fields. The protocol machine adds what framing needs (`Content-Length`,
//! `Transfer-Encoding`, `Connection`, `Date`) when it writes the head.

use http::{StatusCode, header};

use super::{Headers, MediaType};

/// Status and fields of one response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code; its reason phrase is the registered one.
    pub status: StatusCode,
    /// The fields the application set.
    pub headers: Headers,
    /// The `Content-Type` of content for which `headers` name none. Not among them, because nearly every response has one, and a
    /// static text costs neither an entry of the list nor a drop.
    pub content_type: Option<MediaType>,
}

impl ResponseHead {
    /// Makes a head with a status and no fields.
    #[must_use]
    pub const fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: Headers::new(),
            content_type: None,
        }
    }

    /// The fields as the peer will see them, the type of the content among them.
    #[must_use]
    pub fn fields(&self) -> Headers {
        let mut fields = self.headers.clone();
        if let Some(media_type) = self.content_type {
            fields.add(header::CONTENT_TYPE, media_type.header_value());
        }
        fields
    }

    /// Back to `200` without fields; keeps the memory.
    pub fn clear(&mut self) {
        self.status = StatusCode::OK;
        self.headers.clear();
        self.content_type = None;
    }
}
