//! The media types Squall gives content by itself (RFC 9110 §8.3).

use http::HeaderValue;

/// A media type of content that was given no `Content-Type`.
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
    /// As the value of the field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let line = self.field_line();
        let value = line.strip_prefix("content-type: ").unwrap_or(line);
        value.trim_ascii_end()
    }

    /// As the whole field line, ready to be copied into a head.
    #[must_use]
    pub const fn field_line(self) -> &'static str {
        match self {
            Self::Text => "content-type: text/plain; charset=utf-8\r\n",
            Self::Html => "content-type: text/html; charset=utf-8\r\n",
            Self::Json => "content-type: application/json\r\n",
            Self::Bytes => "content-type: application/octet-stream\r\n",
        }
    }

    /// As the value of `Content-Type`. It is static, so it takes no memory.
    #[must_use]
    pub fn header_value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}
