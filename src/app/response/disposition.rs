//! `Content-Disposition`: content that a browser saves as a file (RFC 6266, RFC 8187).
//!
//! A name of plain characters is sent as `filename`. Any other is sent as `filename*` in UTF-8 too, which every browser
//! prefers; `filename` then has `_` for what old recipients would misread.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::app::context::Context;
use crate::error::{Error, Result};
use crate::message::{HeaderValue, header};

/// The bytes that `filename*` encodes.
///
/// ```text
/// attr-char = ALPHA / DIGIT / "!" / "#" / "$" / "&" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"   ; RFC 8187 §3.2.1
/// ```
const NO_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

impl Context {
    /// Makes the response a download with this file name, by `Content-Disposition: attachment`.
    ///
    /// The name may have any characters but control characters. An empty one leaves the name to the client.
    ///
    /// ```
    /// # use squall::prelude::*;
    /// async fn report(cx: &mut Context) -> Result<&'static str> {
    ///     cx.attachment("Übersicht 2026.csv")?;
    ///     Ok("a,b\n")
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// 500 if the name has a control character or the head has been sent. Where the name comes from the client,
    /// `.or_status(400)?` reports the client's fault.
    pub fn attachment(&mut self, name: &str) -> Result {
        let value = disposition(name)?;
        self.set_header(header::CONTENT_DISPOSITION, value)
    }
}

/// Returns the value of the field for a file name.
fn disposition(name: &str) -> Result<HeaderValue> {
    if name.chars().any(char::is_control) {
        return Err(Error::new(
            "could not name the download: the name has a control character",
        ));
    }
    if name.is_empty() {
        return Ok(HeaderValue::from_static("attachment"));
    }
    let plain = plain(name);
    let encoded = match plain {
        Cow::Borrowed(_) => String::new(),
        Cow::Owned(_) => format!("; filename*=UTF-8''{}", utf8_percent_encode(name, NO_ATTR_CHAR)),
    };
    Ok(HeaderValue::try_from(format!(
        "attachment; filename=\"{plain}\"{encoded}"
    ))?)
}

/// Returns the name with `_` for each character that recipients read differently in a quoted string.
///
/// These are `"` and `\` (escapes), `%` (some decode it), `/` (a path), and everything outside of ASCII.
fn plain(name: &str) -> Cow<'_, str> {
    let is_plain = |character: char| matches!(character, ' '..='~') && !matches!(character, '"' | '\\' | '%' | '/');
    // Recipients trim a name or drop its dots at an end, so such a name is not plain either.
    if name.chars().all(is_plain) && name.trim_matches([' ', '.']) == name {
        return Cow::Borrowed(name);
    }
    let replaced = name
        .chars()
        .map(|character| if is_plain(character) { character } else { '_' });
    Cow::Owned(replaced.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::disposition;

    #[test]
    fn a_plain_name_is_quoted_and_any_other_is_encoded_too() {
        for (name, expected) in [
            ("report.pdf", "attachment; filename=\"report.pdf\""),
            ("two words; a=b.txt", "attachment; filename=\"two words; a=b.txt\""),
            ("", "attachment"),
            (
                "na\u{ef}ve \u{20ac}.txt",
                "attachment; filename=\"na_ve _.txt\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt",
            ),
            (
                "a\"b\\c%41.txt",
                "attachment; filename=\"a_b_c_41.txt\"; filename*=UTF-8''a%22b%5Cc%2541.txt",
            ),
            (
                "../etc/passwd",
                "attachment; filename=\".._etc_passwd\"; filename*=UTF-8''..%2Fetc%2Fpasswd",
            ),
            (
                ".profile",
                "attachment; filename=\".profile\"; filename*=UTF-8''.profile",
            ),
        ] {
            assert_eq!(disposition(name).unwrap(), expected, "{name:?}");
        }
        for name in ["a\r\nb", "a\tb", "\0", "a\x7fb", "\u{85}"] {
            assert_eq!(disposition(name).unwrap_err().status(), 500, "{name:?}");
        }
    }

    proptest! {
        /// A recipient of RFC 6266 reads the name back: `filename*` where there is one, else the quoted string.
        #[test]
        fn the_name_is_read_back_as_it_was(name in "[^\\p{Cc}]{1,24}") {
            let value = disposition(&name).unwrap();
            let value = value.to_str().unwrap();
            prop_assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            let quoted = value.strip_prefix("attachment; filename=\"").unwrap();
            let (quoted, rest) = quoted.split_once('"').unwrap();
            prop_assert!(!quoted.contains('\\'));
            let read = match rest.strip_prefix("; filename*=UTF-8''") {
                Some(encoded) => percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap().into_owned(),
                None => {
                    prop_assert_eq!(rest, "");
                    quoted.to_owned()
                }
            };
            prop_assert_eq!(read, name);
        }
    }
}
