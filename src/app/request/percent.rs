//! Strict percent-decoding (RFC 3986 §2.1), and the pairs of `application/x-www-form-urlencoded`.
//!
//! A `%` without two hexadecimal digits is an error, and so are decoded bytes that are not UTF-8. To guess would let
//! two parties read different values. A handler gets errors only of the parameters that it reads, because other
//! programs send malformed ones (`utm=100%`).
//!
//! Pairs are separated by `&` alone, and `+` is a space in them. They are a list in the order received. Nothing is
//! hashed, so colliding keys cost nothing.

use core::fmt;
use std::borrow::Cow;

use percent_encoding::percent_decode;
use serde::de::value::Error as FormError;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use super::field_path::failed_field;

/// Why a query, a form or a path parameter could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum DecodeError {
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

/// Decodes part of a path, in which `+` is a plus sign.
pub(in crate::app) fn decode_path(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    if text.contains('%') {
        decode(text.as_bytes())
    } else {
        Ok(Cow::Borrowed(text))
    }
}

/// Checks that each `%` is followed by two hexadecimal digits.
pub(in crate::app) fn check_escapes(text: &[u8]) -> Result<(), DecodeError> {
    let mut escapes = text.split(|&byte| byte == b'%').skip(1);
    let is_escape =
        |rest: &[u8]| matches!(rest, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    escapes.all(is_escape).then_some(()).ok_or(DecodeError::Escape)
}

fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    check_escapes(bytes)?;
    percent_decode(bytes).decode_utf8().map_err(|_| DecodeError::Utf8)
}

/// A key or a value of a form, as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Encoded<'f>(&'f [u8]);

impl<'f> Encoded<'f> {
    fn decode(self) -> Result<Cow<'f, str>, DecodeError> {
        match self.spaced() {
            Cow::Borrowed(bytes) => decode(bytes),
            Cow::Owned(bytes) => decode(&bytes).map(|decoded| Cow::Owned(decoded.into_owned())),
        }
    }

    /// Decodes like `serde_html_form`: malformed escapes stay unchanged, and invalid UTF-8 becomes U+FFFD.
    fn decode_lossy(self) -> String {
        percent_decode(&self.spaced()).decode_utf8_lossy().into_owned()
    }

    fn is(self, text: &str) -> bool {
        if self.0.contains(&b'%') || self.0.contains(&b'+') {
            self.decode().is_ok_and(|decoded| decoded == text)
        } else {
            self.0 == text.as_bytes()
        }
    }

    fn spaced(self) -> Cow<'f, [u8]> {
        if !self.0.contains(&b'+') {
            return Cow::Borrowed(self.0);
        }
        let space = |&byte: &u8| if byte == b'+' { b' ' } else { byte };
        Cow::Owned(self.0.iter().map(space).collect())
    }
}

/// One pair of a form, decoded only when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) struct FormPair<'f> {
    key: Encoded<'f>,
    value: Encoded<'f>,
}

impl<'f> FormPair<'f> {
    /// Whether the pair has this key. A malformed key equals no key.
    pub(in crate::app) fn has_key(self, key: &str) -> bool {
        self.key.is(key)
    }

    /// The value, decoded.
    pub(in crate::app) fn value(self) -> Result<Cow<'f, str>, DecodeError> {
        self.value.decode()
    }

    fn check(self) -> Result<(), DecodeError> {
        self.key.decode()?;
        self.value().map(drop)
    }
}

/// The pairs of a form in the order received, at most `count_max`. One pair more is an error, which ends the
/// iteration.
///
/// A key without `=` has an empty value. Empty pieces between two `&` are skipped.
pub(in crate::app) fn pairs(form: &[u8], count_max: usize) -> impl Iterator<Item = Result<FormPair<'_>, DecodeError>> {
    let pieces = form.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty());
    // One piece more than the limit is taken, so that the caller gets an error and not a truncated form.
    let limited = pieces.take(count_max.saturating_add(1)).enumerate();
    limited.map(move |(index, piece)| {
        if index >= count_max {
            return Err(DecodeError::TooManyPairs { count_max });
        }
        let mut parts = piece.splitn(2, |&byte| byte == b'=').map(Encoded);
        let key = parts.next().unwrap_or(Encoded(b""));
        let value = parts.next().unwrap_or(Encoded(b""));
        Ok(FormPair { key, value })
    })
}

/// Decodes a form into a `T`, strictly in every pair that `T` reads.
///
/// A struct reads the fields it names. Every other type (a map, a list of pairs, a struct with `#[serde(flatten)]`)
/// reads every pair. The error is one sentence and names the field that failed.
pub(in crate::app) fn decode_form<T: DeserializeOwned>(form: &[u8], count_max: usize) -> Result<T, FormError> {
    pairs(form, count_max)
        .try_for_each(|pair| pair.map(drop))
        .map_err(FormError::custom)?;
    T::deserialize(FormDeserializer { bytes: form }).map_err(|error| {
        match failed_field::<T>(FormDeserializer { bytes: form }) {
            Some(field) => FormError::custom(format_args!("`{field}`: {error}")),
            None => error,
        }
    })
}

/// Whether a value of a form, decoded, is longer than `bytes_max`.
pub(in crate::app) fn has_longer_value(form: &[u8], bytes_max: usize) -> bool {
    pairs(form, usize::MAX).filter_map(Result::ok).any(|pair| {
        let Encoded(value) = pair.value;
        value.len() > bytes_max && percent_decode(value).count() > bytes_max
    })
}

/// A form within its limit of pairs. It checks the pairs that will be read, before the lenient decoder reads them.
struct FormDeserializer<'f> {
    bytes: &'f [u8],
}

impl<'f> FormDeserializer<'f> {
    fn pairs(&self) -> impl Iterator<Item = FormPair<'f>> {
        pairs(self.bytes, usize::MAX).filter_map(Result::ok)
    }

    fn inner(&self) -> serde_html_form::Deserializer<'f> {
        serde_html_form::Deserializer::from_bytes(self.bytes)
    }

    /// Checks every pair, for a type that reads every pair.
    fn check_all(&self) -> Result<(), FormError> {
        self.pairs()
            .try_for_each(FormPair::check)
            .map_err(|error| FormError::custom(format_args!("a parameter is malformed: {error}")))
    }
}

impl<'de> Deserializer<'de> for FormDeserializer<'de> {
    type Error = FormError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        self.check_all()?;
        self.inner().deserialize_map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormError> {
        for pair in self.pairs() {
            let Err(error) = pair.check() else { continue };
            // The lenient decoder would map this malformed key to the field, so compare what it decodes to.
            let key = pair.key.decode_lossy();
            if let Some(field) = fields.iter().find(|field| **field == key) {
                let message = format_args!("the parameter `{field}` is malformed: {error}");
                return Err(FormError::custom(message));
            }
        }
        self.inner().deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        self.check_all()?;
        self.inner().deserialize_seq(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        self.inner().deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FormError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool u8 u16 u32 u64 i8 i16 i32 i64 f32 f64 char str string option bytes byte_buf unit_struct tuple_struct identifier tuple
        enum map
    }
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
    use super::{DecodeError, decode_path, pairs};

    #[test]
    fn decodes_valid_escapes_only() {
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
        let decoded: Vec<_> = pairs(b"a=1&b&&=c&a=x%3Dy+z&e==&f;g=1", 6).map(Result::unwrap).collect();
        let expected = [
            ("a", "1"),
            ("b", ""),
            ("", "c"),
            ("a", "x=y z"),
            ("e", "="),
            ("f;g", "1"),
        ];
        assert_eq!(decoded.len(), expected.len());
        for (pair, (key, value)) in decoded.iter().zip(expected) {
            assert!(pair.has_key(key), "{pair:?}");
            assert_eq!(pair.value().as_deref(), Ok(value));
        }
    }

    #[test]
    fn a_malformed_key_matches_nothing_and_a_malformed_value_is_an_error() {
        let decoded: Vec<_> = pairs(b"utm%=1&a%20+b=%f&c=\xff&%64=%", 4).map(Result::unwrap).collect();
        let [malformed, spaced, bytes, escaped] = *decoded else {
            panic!("{decoded:?}")
        };
        assert!(!malformed.has_key("utm%") && malformed.value().is_ok());
        assert!(spaced.has_key("a  b"));
        assert_eq!(spaced.value(), Err(DecodeError::Escape));
        assert!(bytes.has_key("c"));
        assert_eq!(bytes.value(), Err(DecodeError::Utf8));
        assert!(escaped.has_key("d"));
        assert_eq!(escaped.value(), Err(DecodeError::Escape));
    }

    #[test]
    fn counts_pairs_up_to_the_limit() {
        let count = |form: &str, count_max| {
            pairs(form.as_bytes(), count_max)
                .collect::<Result<Vec<_>, _>>()
                .map(|all| all.len())
        };
        assert_eq!(count("&a&b=&", 2), Ok(2));
        assert_eq!(count("&a&b=&&a", 2), Err(DecodeError::TooManyPairs { count_max: 2 }));
        assert_eq!(count("a", 0), Err(DecodeError::TooManyPairs { count_max: 0 }));
        assert_eq!(count("a=1&b=%f", 2), Ok(2), "malformed pairs count too");
    }
}
