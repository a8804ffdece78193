//! Reading a request's cookies, as Tornado does: real clients send more than the grammar of RFC 6265 allows.
//!
//! If a request has more cookies than the limit, none is read. A host below the same domain can add cookies; if only
//! the first ones were read, it could choose which cookies a handler sees.

use std::borrow::Cow;

use crate::app::context::Context;
use crate::error::{HttpError, Result, bad_request};
use crate::message::StatusCode;

impl Context {
    /// Returns the value of a cookie, or the last value if several cookies have this name.
    ///
    /// Quotes around a value are removed, and its backslashes and octal escapes decoded. The client controls the
    /// value, so verify it.
    ///
    /// # Errors
    ///
    /// 400, naming the cookie, if it is missing; [`or_error`](crate::ResultExt::or_error) changes the status.
    /// Otherwise as [`cookies`](Self::cookies).
    pub fn cookie(&self, name: &str) -> Result<Cow<'_, str>> {
        self.optional_cookie(name)?
            .ok_or_else(|| bad_request(format!("the cookie `{name}` is missing")))
    }

    /// Returns the value of a cookie like [`cookie`](Self::cookie), or `None` where it is missing (Tornado's
    /// `get_cookie`).
    ///
    /// # Errors
    ///
    /// As [`cookies`](Self::cookies).
    pub fn optional_cookie(&self, name: &str) -> Result<Option<Cow<'_, str>>> {
        let all = self.cookies()?.filter(|(known, _)| *known == name);
        Ok(all.last().map(|(_, value)| value))
    }

    /// Returns the name and value of every cookie, in the order received.
    ///
    /// A cookie that has no name or an invalid one, or that is not UTF-8, is skipped.
    ///
    /// # Errors
    ///
    /// 431 if there are more than [`cookie_count_max`](crate::app::Limits::cookie_count_max) cookies, skipped ones
    /// included (RFC 6585 §5).
    pub fn cookies(&self) -> Result<impl Iterator<Item = (&str, Cow<'_, str>)>> {
        let fields = || self.head.fields().get_all("cookie");
        let count_max = self.shared.limits().cookie_count_max;
        if fields().flat_map(pieces).nth(count_max).is_some() {
            let refusal = HttpError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            return Err(refusal
                .with_message(format!("there are more than {count_max} cookies"))
                .into());
        }
        Ok(fields().flat_map(cookies))
    }
}

/// The parts between the semicolons of one `Cookie` field, without blank ones.
fn pieces(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let pieces = field.split(|&byte| byte == b';');
    pieces.filter(|piece| !piece.trim_ascii().is_empty())
}

/// Reads one `Cookie` field. Each piece is checked for UTF-8 alone, so an invalid one does not hide the others.
fn cookies(field: &[u8]) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    pieces(field).filter_map(|piece| {
        let (name, value) = str::from_utf8(piece).ok()?.split_once('=')?;
        let name = name.trim();
        is_name(name).then(|| (name, unquote(value.trim())))
    })
}

/// Whether this is a cookie's name: a token (RFC 9110 §5.6.2), or one with colons, which Python also accepts.
fn is_name(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(&byte);
    !name.is_empty() && name.bytes().all(is_legal)
}

fn unquote(value: &str) -> Cow<'_, str> {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        None => Cow::Borrowed(value),
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        Some(inner) => Cow::Owned(unescape(inner)),
    }
}

/// Decodes `\"`, `\\`, and three octal digits, which stand for one character up to U+00FF.
fn unescape(mut text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    while let Some((before, escaped)) = text.split_once('\\') {
        value.push_str(before);
        let code = escaped
            .get(..3)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        if let Some(byte) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            value.push(char::from(byte));
            text = escaped.get(3..).unwrap_or_default();
        } else {
            let mut rest = escaped.chars();
            value.push(rest.next().unwrap_or('\\'));
            text = rest.as_str();
        }
    }
    value.push_str(text);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &str) -> Vec<(&str, String)> {
        cookies(field.as_bytes())
            .map(|(name, value)| (name, value.into_owned()))
            .collect()
    }

    #[test]
    fn values_are_read_as_tornado_reads_them() {
        for (field, expected) in [
            ("foo=bar", "bar"),
            ("foo=\"bar\"", "bar"),
            ("foo=a=b", "a=b"),
            ("foo=\"a;b\"", "\"a"),
            ("foo=a\\073b", "a\\073b"),
            ("foo=\"a\\073b\"", "a;b"),
            ("foo=\"a\\\"b\"", "a\"b"),
            ("foo=\"\\\\073\\351\\400\\\"", "\\073é400\\"),
            ("foo=\"", "\""),
            ("foo=\"\"", ""),
            ("foo=", ""),
            ("foo =  a b ", "a b"),
            ("foo=räume", "räume"),
        ] {
            assert_eq!(read(field), [("foo", expected.to_owned())], "{field}");
        }
    }

    #[test]
    fn semicolons_separate_cookies_and_invalid_ones_are_skipped() {
        let all = read("a=1;b=2; ;c;=d; /=x;a=3;b c=4;k:y=5;ä=6;;");
        let expected = [("a", "1"), ("b", "2"), ("a", "3"), ("k:y", "5")];
        assert_eq!(all, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn a_cookie_that_is_not_utf_8_is_skipped_alone() {
        let field = b"a=1; name=Fran\xe7ois; n\xe4me=2; \xff; session=abc";
        let all: Vec<_> = cookies(field).collect();
        assert_eq!(all, [("a", Cow::Borrowed("1")), ("session", Cow::Borrowed("abc"))]);
        assert_eq!(pieces(field).count(), 5, "skipped cookies count against the limit");
    }
}
