//! The media types that Squall sets by default (RFC 9110 §8.3).

use http::HeaderValue;

/// The media type of content without a `Content-Type` from the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `text/plain; charset=utf-8`
    Text,
    /// `text/html; charset=utf-8`
    Html,
    /// `application/json`
    Json,
    /// `application/octet-stream`
    Bytes,
}

impl MediaType {
    /// Returns the field value as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let line = self.field_line();
        let value = line.strip_prefix("content-type: ").unwrap_or(line);
        value.trim_ascii_end()
    }

    /// Returns the complete field line, ready to copy into a head.
    #[must_use]
    pub const fn field_line(self) -> &'static str {
        match self {
            Self::Text => "content-type: text/plain; charset=utf-8\r\n",
            Self::Html => "content-type: text/html; charset=utf-8\r\n",
            Self::Json => "content-type: application/json\r\n",
            Self::Bytes => "content-type: application/octet-stream\r\n",
        }
    }

    /// Returns the value of `Content-Type`, which is static and allocates nothing.
    #[must_use]
    pub fn header_value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}
