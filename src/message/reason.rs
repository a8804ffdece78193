//! The reason phrase of a response: a text for people behind the status code (RFC 9112 §4). HTTP/2 has none.

use core::fmt;

/// Most bytes of a phrase: 256. Registered phrases have at most 31.
const REASON_BYTES_MAX: usize = 256;

/// A legal reason phrase, in ASCII.
///
/// ```text
/// reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )                     ; RFC 9112 §4
/// ```
///
/// Refused are `obs-text`, because recipients disagree on its encoding, and `<`, `>` and `&`, because some recipients
/// show a phrase as HTML.
#[derive(Clone, PartialEq, Eq)]
pub struct ReasonPhrase(Box<str>);

impl ReasonPhrase {
    /// Makes a phrase of a text; `None` if the text is empty, longer than 256 bytes or illegal.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_legal = |byte: u8| matches!(byte, b'\t' | b' '..=b'~') && !matches!(byte, b'<' | b'>' | b'&');
        let is_phrase = !text.is_empty()
            && text.len() <= REASON_BYTES_MAX
            && text.trim_ascii().len() == text.len()
            && text.bytes().all(is_legal);
        is_phrase.then(|| Self(text.into()))
    }

    /// Returns the phrase as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ReasonPhrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::{REASON_BYTES_MAX, ReasonPhrase};

    #[test]
    fn a_phrase_is_visible_ascii_with_blanks_inside() {
        for legal in [
            "Not Today",
            "x",
            "Over\tthere",
            "It's 100 % \"fine\"",
            &"x".repeat(REASON_BYTES_MAX),
        ] {
            assert_eq!(
                ReasonPhrase::new(legal).map(|phrase| phrase.as_str().to_owned()),
                Some(legal.to_owned())
            );
        }
        for illegal in [
            "",
            " ",
            " x",
            "x ",
            "OK\r\nX-Injected: 1",
            "a\nb",
            "a\0b",
            "a\x7fb",
            "caf\u{e9}",
            "<script>",
            "a&b",
            &"x".repeat(REASON_BYTES_MAX + 1),
        ] {
            assert_eq!(ReasonPhrase::new(illegal), None, "{illegal:?}");
        }
    }
}
