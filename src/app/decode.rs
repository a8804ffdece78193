//! Strict percent-decoding (RFC 3986 §2.1) and the pairs of `application/x-www-form-urlencoded`.
//!
//! Strict: a `%` without two hexadecimal digits, or bytes that are no UTF-8 once decoded, are an error rather than guessed at, so
//! that no two parties read a different value. Pairs are separated by `&` alone, `+` is a blank in them, and they are kept in a
//! list in the order sent: nothing is hashed, so colliding keys cost nothing.

use core::fmt;
use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Why a query, a form or a path parameter could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// A `%` is not followed by two hexadecimal digits.
    Escape,
    /// The decoded bytes are not UTF-8.
    Utf8,
    /// There are more pairs than the limit.
    TooManyPairs {
        /// The limit.
        count_max: usize,
    },
}

/// Decodes part of a path, in which `+` is only a plus sign.
pub(super) fn decode_path(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut escapes = text.split('%').skip(1);
    let is_escape =
        |rest: &str| matches!(rest.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    if !escapes.all(is_escape) {
        return Err(DecodeError::Escape);
    }
    percent_decode_str(text).decode_utf8().map_err(|_| DecodeError::Utf8)
}

/// Decodes a key or a value of a form.
fn decode_form(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    if !text.contains('+') {
        return decode_path(text);
    }
    let spaced = text.replace('+', " ");
    decode_path(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()))
}

/// The pairs of a form, decoded, in the order sent, of which there may be so many. A key without `=` has an empty value; empty pieces
/// between two `&` are left out. The first error ends it.
pub(super) fn pairs(
    form: &str,
    count_max: usize,
) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), DecodeError>> {
    let pieces = form.split('&').filter(|piece| !piece.is_empty());
    pieces.enumerate().map(move |(index, piece)| {
        if index >= count_max {
            return Err(DecodeError::TooManyPairs { count_max });
        }
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        Ok((decode_form(key)?, decode_form(value)?))
    })
}

/// Checks that a whole form can be decoded strictly, before a lenient decoder reads it.
pub(super) fn check_pairs(form: &str, count_max: usize) -> Result<(), DecodeError> {
    pairs(form, count_max).try_for_each(|pair| pair.map(drop))
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Escape => formatter.write_str("a `%` is not followed by two hexadecimal digits"),
            Self::Utf8 => formatter.write_str("the percent-decoded bytes are not UTF-8"),
            Self::TooManyPairs { count_max } => write!(formatter, "there are more than {count_max} parameters"),
        }
    }
}

impl core::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use super::{DecodeError, check_pairs, decode_path, pairs};

    #[test]
    fn decodes_escapes_and_nothing_else() {
        for (text, expected) in [
            ("plain", Ok("plain")),
            ("a%2Fb", Ok("a/b")),
            ("%c3%A9", Ok("\u{e9}")),
            ("a+b", Ok("a+b")),
            ("%2B%25", Ok("+%")),
            ("%00", Ok("\0")),
            ("%", Err(DecodeError::Escape)),
            ("%4", Err(DecodeError::Escape)),
            ("%zz", Err(DecodeError::Escape)),
            ("%+1", Err(DecodeError::Escape)),
            ("%%41", Err(DecodeError::Escape)),
            ("x%FF", Err(DecodeError::Utf8)),
            ("%ED%A0%80", Err(DecodeError::Utf8)),
        ] {
            assert_eq!(
                decode_path(text).as_deref(),
                expected.as_ref().map(|text| *text),
                "{text}"
            );
        }
    }

    #[test]
    fn splits_pairs_as_browsers_join_them() {
        let decoded: Vec<_> = pairs("a=1&b&&=c&a=x%3Dy+z&e==&f;g=1", 6).map(Result::unwrap).collect();
        let expected = [
            ("a", "1"),
            ("b", ""),
            ("", "c"),
            ("a", "x=y z"),
            ("e", "="),
            ("f;g", "1"),
        ];
        assert!(
            decoded.iter().map(|(key, value)| (&**key, &**value)).eq(expected),
            "{decoded:?}"
        );
    }

    #[test]
    fn counts_pairs_up_to_the_limit() {
        assert_eq!(check_pairs("&a&b=&", 2), Ok(()));
        assert_eq!(
            check_pairs("&a&b=&&a", 2),
            Err(DecodeError::TooManyPairs { count_max: 2 })
        );
        assert_eq!(check_pairs("a", 0), Err(DecodeError::TooManyPairs { count_max: 0 }));
        assert_eq!(check_pairs("a=1&b=%f", 2), Err(DecodeError::Escape));
    }
}
