//! The cookies of an exchange: reading those of the request, as Tornado does, and setting those of the response.
//!
//! Real clients send more than the grammar of RFC 6265 allows. The crate `cookie` splits a field too, but it decodes no
//! escapes inside quotes and takes a field only if all of it is UTF-8. So this file reads cookies, and the crate writes
//! them.
//!
//! If a request has more cookies than the limit, none is read. A host below the same domain can add cookies; if only
//! the first ones were read, it could choose which cookies a handler sees.

use core::fmt;
use std::borrow::Cow;

use cookie::Cookie;

use crate::app::context::Context;
use crate::app::response::set_cookie;
use crate::error::{Error, HttpError, Result};
use crate::message::{StatusCode, TOKEN_BYTES};

/// The cookies of a request and of its response: see [`Context::cookies`].
#[derive(Clone, Copy)]
pub struct Cookies<'a> {
    pub(in crate::app) cx: &'a Context,
}

impl Context {
    /// Returns the cookies: [`get`](Cookies::get) and [`iter`](Cookies::iter) read the request's,
    /// [`set`](Cookies::set) and [`remove`](Cookies::remove) change the response's.
    ///
    /// ```
    /// use squall::prelude::*;
    ///
    /// async fn visit(cx: &mut Context) -> Result<String> {
    ///     let visits = match cx.cookies().get("visits")? {
    ///         Some(count) => count.parse().unwrap_or(0) + 1,
    ///         None => 1,
    ///     };
    ///     cx.cookies().set(Cookie::build(("visits", visits.to_string())).path("/shop"))?;
    ///     Ok(format!("visit {visits}"))
    /// }
    /// ```
    #[must_use]
    pub fn cookies(&self) -> Cookies<'_> {
        Cookies { cx: self }
    }
}

impl<'a> Cookies<'a> {
    /// Returns the value of a cookie of the request, or the last value if several cookies have this name (Tornado's
    /// `get_cookie`).
    ///
    /// Quotes around a value are removed, and its backslashes and octal escapes decoded. The client controls the
    /// value, so verify it.
    ///
    /// # Errors
    ///
    /// As [`iter`](Self::iter).
    pub fn get(self, name: &str) -> Result<Option<Cow<'a, str>>> {
        let all = self.iter()?.filter(|(known, _)| *known == name);
        Ok(all.last().map(|(_, value)| value))
    }

    /// Returns the name and value of every cookie of the request, in the order received.
    ///
    /// A cookie that has no name or an invalid one, or that is not UTF-8, is skipped.
    ///
    /// # Errors
    ///
    /// 431 if there are more than [`max_cookies`](crate::Application::max_cookies) cookies, skipped ones
    /// included (RFC 6585 §5).
    pub fn iter(self) -> Result<impl Iterator<Item = (&'a str, Cow<'a, str>)>> {
        let fields = move || self.cx.head.fields().get_all("cookie");
        let count_max = self.cx.shared.limits().max_cookies;
        if fields().flat_map(pieces).nth(count_max).is_some() {
            let refusal = HttpError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            return Err(refusal
                .with_message(format!("there are more than {count_max} cookies"))
                .into());
        }
        Ok(fields().flat_map(read_cookies))
    }

    /// Sets a cookie of the response, and replaces one of the same name set before (Tornado's `set_cookie`).
    ///
    /// Attributes that the cookie leaves open get a safe value: `HttpOnly`, `SameSite=Lax`, `Path=/`, and `Secure` if
    /// the request came over TLS. `SameSite=None`, `Partitioned` and the prefixes `__Secure-` and `__Host-` always get
    /// `Secure`, because browsers ignore such cookies without it.
    ///
    /// A value may have every character except control characters. It is quoted where RFC 6265 §4.1.1 requires it, and
    /// [`get`](Self::get) reads it back unquoted.
    ///
    /// The cookie is sent with the head, also if an error page replaces the response.
    ///
    /// # Errors
    ///
    /// 500, with nothing set. The head has been sent, a browser would ignore the cookie or read another one, or name
    /// and value have more than 4096 bytes.
    pub fn set<'c>(self, cookie: impl Into<Cookie<'c>>) -> Result {
        let cookie = cookie.into();
        let response = &self.cx.response;
        if response.head_sent {
            return Err(Error::new(format!(
                "could not set the cookie `{}`: the head has been sent; set cookies before the first flush",
                cookie.name()
            )));
        }
        let is_secure = self.cx.protocol() == "https";
        let name = cookie.name().to_owned();
        response.cookies.put(name, set_cookie::field_value(cookie, is_secure)?);
        Ok(())
    }

    /// Removes a cookie from the browser (Tornado's `clear_cookie`).
    ///
    /// Path and domain must be those that the cookie was set with. For a cookie at `/` without a domain, the name
    /// suffices; for another, give `Cookie::build(name).path(…).domain(…)`.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub fn remove<'c>(self, cookie: impl Into<Cookie<'c>>) -> Result {
        self.set(set_cookie::removal(cookie.into()))
    }
}

impl fmt::Debug for Cookies<'_> {
    /// Shows nothing of the cookies, because they hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cookies").finish_non_exhaustive()
    }
}

/// The parts between the semicolons of one `Cookie` field, without blank ones.
fn pieces(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let pieces = field.split(|&byte| byte == b';');
    pieces.filter(|piece| !piece.trim_ascii().is_empty())
}

/// Reads one `Cookie` field; each piece is checked for UTF-8 alone, so an invalid one does not hide the others.
pub fn read_cookies(field: &[u8]) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    pieces(field).filter_map(|piece| {
        let (name, value) = str::from_utf8(piece).ok()?.split_once('=')?;
        let name = name.trim();
        is_name(name).then(|| (name, unquote(value.trim())))
    })
}

/// Whether this is a cookie's name: a token (RFC 9110 §5.6.2), or one with colons, which Python also accepts.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte == b':' || TOKEN_BYTES.contains(byte))
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
        read_cookies(field.as_bytes())
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
        let all: Vec<_> = read_cookies(field).collect();
        assert_eq!(all, [("a", Cow::Borrowed("1")), ("session", Cow::Borrowed("abc"))]);
        assert_eq!(pieces(field).count(), 5, "skipped cookies count against the limit");
    }
}
