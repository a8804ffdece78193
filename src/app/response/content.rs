//! Content that can be written into a response: text or bytes, each with its default media type.

use std::borrow::Cow;

use bytes::Bytes;

use crate::message::MediaType;

/// Text or bytes to write into a response.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written into a response",
    label = "neither text nor bytes",
    note = "write a `&str`, a `String`, bytes, or use `write_json` for a value that serializes"
)]
pub trait Content {
    /// Returns the content as bytes.
    fn content(&self) -> &[u8];

    /// Returns the default `Content-Type`: UTF-8 text is `text/plain`, bytes are `application/octet-stream`.
    ///
    /// Browsers run scripts in neither type.
    fn media_type(&self) -> MediaType;
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
