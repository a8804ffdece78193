//! `Location`: where a redirection leads, as a URI reference (RFC 9110 §10.2.2, RFC 3986 §4.1).
//!
//! Characters that a URI cannot have are percent-encoded as UTF-8. A backslash is one of them: browsers read it as a
//! slash, so `/\host` would lead to another host.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::error::{Error, Result};
use crate::message::HeaderValue;

/// The ASCII characters that no URI has, apart from `%`: it is part of an escape already.
pub(in crate::app) const NO_URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Returns the value of `Location` for a reference, which may have characters that a URI encodes.
///
/// # Errors
///
/// 500 if the reference has a control character: an encoded one would still be a mistake, or an attack.
pub(in crate::app) fn location(reference: &str) -> Result<HeaderValue> {
    if reference.chars().any(char::is_control) {
        return Err(Error::new("could not redirect: the location has a control character"));
    }
    Ok(HeaderValue::try_from(
        utf8_percent_encode(reference, NO_URI).to_string(),
    )?)
}

#[cfg(test)]
mod tests {
    use super::location;

    #[test]
    fn a_location_is_ascii_and_keeps_its_escapes() {
        for (reference, expected) in [
            ("/a?b=c#d", "/a?b=c#d"),
            ("https://example.org/", "https://example.org/"),
            ("/caf\u{e9}/\u{1f600}", "/caf%C3%A9/%F0%9F%98%80"),
            ("/a%20b%zz", "/a%20b%zz"),
            ("/a b", "/a%20b"),
            ("/\\evil.example", "/%5Cevil.example"),
            ("/[1]~'()*!$&+,;=:@", "/[1]~'()*!$&+,;=:@"),
            ("", ""),
        ] {
            assert_eq!(location(reference).unwrap(), expected, "{reference:?}");
        }
        for reference in ["/a\r\nx: 1", "/a\tb", "/\0", "/\u{85}", "/\x7f"] {
            assert_eq!(location(reference).unwrap_err().status(), 500, "{reference:?}");
        }
    }
}
