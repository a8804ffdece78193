//! Reading a request's cookies, as Tornado reads them: what clients send is older than the grammar of RFC 6265.
//!
//! Of a request with more cookies than the limit none is read. To read the first of them and leave out the rest would let whoever can
//! add cookies, as another host below the same domain can, choose which ones a handler gets to see.

use std::borrow::Cow;

use super::context::Context;
use super::request::bad_request;
use crate::error::{HttpError, Result};
use crate::message::StatusCode;

impl Context {
    /// The value of a cookie; the last one where several have the name.
    ///
    /// A value in quotes is given without them, its backslashes and octal escapes decoded. A client can send what it likes: a cookie proves nothing.
    ///
    /// # Errors
    ///
    /// 400, naming the cookie, if it is missing: [`or_error`](crate::ResultExt::or_error) makes it another status. Else as [`cookies`](Self::cookies).
    pub fn cookie(&self, name: &str) -> Result<Cow<'_, str>> {
        self.optional_cookie(name)?
            .ok_or_else(|| bad_request(format!("the cookie `{name}` is missing")))
    }

    /// The value of a cookie as [`cookie`](Self::cookie) gives it, or `None` where it is missing (Tornado's `get_cookie`).
    ///
    /// # Errors
    ///
    /// As [`cookies`](Self::cookies).
    pub fn optional_cookie(&self, name: &str) -> Result<Option<Cow<'_, str>>> {
        let all = self.cookies()?.filter(|(known, _)| *known == name);
        Ok(all.last().map(|(_, value)| value))
    }

    /// Every cookie of the request, its name and its value, in the order received. A cookie without a name, with a name no cookie can have, or
    /// that is not UTF-8, is left out alone.
    ///
    /// # Errors
    ///
    /// 431 if there are more than [`cookie_count_max`](super::Limits::cookie_count_max), those that would be left out included
    /// (RFC 6585 §5).
    pub fn cookies(&self) -> Result<impl Iterator<Item = (&str, Cow<'_, str>)>> {
        let fields = || self.head.fields().get_all("cookie");
        let count_max = self.app.limits().cookie_count_max;
        if fields().flat_map(pieces).nth(count_max).is_some() {
            let refusal = HttpError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            return Err(refusal
                .with_message(format!("there are more than {count_max} cookies"))
                .into());
        }
        Ok(fields().flat_map(cookies))
    }
}

/// What stands between the semicolons of one `Cookie` field and is not blank.
fn pieces(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let pieces = field.split(|&byte| byte == b';');
    pieces.filter(|piece| !piece.trim_ascii().is_empty())
}

/// Reads one `Cookie` field. Each piece is proved to be text by itself, because one that is not hides no other.
fn cookies(field: &[u8]) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    pieces(field).filter_map(|piece| {
        let (name, value) = str::from_utf8(piece).ok()?.split_once('=')?;
        let name = name.trim();
        is_name(name).then(|| (name, unquote(value.trim())))
    })
}

/// Whether a cookie can have this name: a token (RFC 9110 §5.6.2), or one with colons, which Python takes too.
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

/// Decodes `\"`, `\\`, and three octal digits, which are one character up to U+00FF.
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
    fn every_semicolon_parts_cookies_and_what_is_none_is_left_out() {
        let all = read("a=1;b=2; ;c;=d; /=x;a=3;b c=4;k:y=5;ä=6;;");
        let expected = [("a", "1"), ("b", "2"), ("a", "3"), ("k:y", "5")];
        assert_eq!(all, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn a_cookie_that_is_not_utf_8_is_left_out_alone() {
        let field = b"a=1; name=Fran\xe7ois; n\xe4me=2; \xff; session=abc";
        let all: Vec<_> = cookies(field).collect();
        assert_eq!(all, [("a", Cow::Borrowed("1")), ("session", Cow::Borrowed("abc"))]);
        assert_eq!(pieces(field).count(), 5, "those left out count against the limit");
    }
}
