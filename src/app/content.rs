//! What can be written into a response: text or bytes, each knowing the media type it has if nobody names another.

use std::borrow::Cow;

use bytes::Bytes;

use crate::message::HeaderValue;

/// Text or bytes to write into a response.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written into a response",
    label = "neither text nor bytes",
    note = "write a `&str`, a `String`, bytes, or use `write_json` for a value that serializes"
)]
pub trait Content {
    /// The content itself.
    fn content(&self) -> &[u8];

    /// The `Content-Type` of a response that starts with this content and was given none: UTF-8 text is plain text, bytes are
    /// `application/octet-stream`. Neither is a type a browser runs scripts in.
    fn media_type(&self) -> MediaType;
}

/// The media types Squall gives content by itself.
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
    /// As the value of `Content-Type`. It is static, so it takes no memory, and it was checked when this was compiled.
    #[must_use]
    pub fn header_value(self) -> HeaderValue {
        static TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
        static HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
        static JSON: HeaderValue = HeaderValue::from_static("application/json");
        static BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
        match self {
            Self::Text => TEXT.clone(),
            Self::Html => HTML.clone(),
            Self::Json => JSON.clone(),
            Self::Bytes => BYTES.clone(),
        }
    }
}

/// Implements [`Content`] for a type of text or of bytes.
macro_rules! content {
    ($($type:ty => $media_type:ident, $bytes:expr;)*) => {$(
        impl Content for $type {
            fn content(&self) -> &[u8] {
                let bytes: fn(&Self) -> &[u8] = $bytes;
                bytes(self)
            }

            fn media_type(&self) -> MediaType {
                MediaType::$media_type
            }
        }
    )*};
}

content! {
    &str => Text, |text| text.as_bytes();
    String => Text, |text| text.as_bytes();
    &String => Text, |text| text.as_bytes();
    Cow<'_, str> => Text, |text| text.as_bytes();
    &[u8] => Bytes, |bytes| bytes;
    Vec<u8> => Bytes, |bytes| bytes;
    &Vec<u8> => Bytes, |bytes| bytes;
    Bytes => Bytes, |bytes| bytes;
    &Bytes => Bytes, |bytes| bytes;
}

impl<const N: usize> Content for &[u8; N] {
    fn content(&self) -> &[u8] {
        *self
    }

    fn media_type(&self) -> MediaType {
        MediaType::Bytes
    }
}
