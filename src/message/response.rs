//! The head of a response: status and fields. The protocol machine adds what framing needs (`Content-Length`,
//! `Transfer-Encoding`, `Connection`, `Date`) when it writes the head.

use http::StatusCode;

use super::Headers;

/// Status and fields of one response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code; its reason phrase is the registered one.
    pub status: StatusCode,
    /// The fields the application set.
    pub headers: Headers,
}

impl ResponseHead {
    /// Makes a head with a status and no fields.
    #[must_use]
    pub const fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: Headers::new(),
        }
    }

    /// Back to `200` without fields; keeps the memory.
    pub fn clear(&mut self) {
        self.status = StatusCode::OK;
        self.headers.clear();
    }
}
