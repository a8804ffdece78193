//! The `Set-Cookie` fields of a response (RFC 6265 §4.1): safe defaults, and the checks that the crate `cookie` leaves
//! to its caller.
//!
//! The crate writes names, values and attributes unchanged, so a `;` in a value would add an attribute. Browsers ignore
//! several kinds of cookies silently; here they are errors that say why.

use core::cell::Cell;
use core::fmt::{Display, Write as _};
use std::borrow::Cow;

use cookie::time::{Duration, OffsetDateTime};
use cookie::{Cookie, SameSite};

use crate::error::{Error, Result};
use crate::message::{HeaderValue, Headers, header, is_token};

/// Most bytes of name and value together: browsers ignore a cookie with more (RFC 6265bis §5.6).
const COOKIE_BYTES_MAX: usize = 4096;

/// The cookies that a response sets, until its head is sent.
///
/// They are apart from the other fields, because they survive an error page. Without cookies, a list costs one pointer.
#[derive(Default)]
pub(in crate::app) struct SetCookies {
    list: Cell<Option<Box<List>>>,
}

/// Names with their field values, in the order of the first `set` of each name.
#[derive(Default)]
struct List(Vec<(String, HeaderValue)>);

impl List {
    // Apart from the check for cookies, which every response makes.
    #[cold]
    fn move_into(self, headers: &mut Headers) {
        for (_, value) in self.0 {
            headers.add(header::SET_COOKIE, value);
        }
    }
}

impl SetCookies {
    /// Adds the field of a cookie, or replaces that of the same name.
    pub(in crate::app) fn put(&self, name: String, value: HeaderValue) {
        let mut list = self.list.take().unwrap_or_default();
        match list.0.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => list.0.push((name, value)),
        }
        self.list.set(Some(list));
    }

    /// Moves the cookies into the fields of a head.
    #[inline]
    pub(super) fn move_into(&mut self, headers: &mut Headers) {
        if let Some(list) = self.list.get_mut().take() {
            list.move_into(headers);
        }
    }

    /// Drops the cookies of a head that was never sent.
    pub(super) fn clear(&mut self) {
        if self.list.get_mut().is_some() {
            self.list.take();
        }
    }
}

/// Returns the value of the field that sets a cookie, with safe values for the attributes that it leaves open.
///
/// # Errors
///
/// The cookie could not be stored as given.
pub(in crate::app) fn field_value(mut cookie: Cookie<'_>, is_secure: bool) -> Result<HeaderValue> {
    check_name_and_size(&cookie)?;
    let value = quoted(cookie.value()).map_err(|character| {
        let why = format!("its value has the character {character:?}");
        refusal(&cookie, &why, "encode the value, for example as base64")
    })?;
    if let Cow::Owned(quoted) = value {
        cookie.set_value(quoted);
    }
    cookie.set_http_only(cookie.http_only().unwrap_or(true));
    cookie.set_same_site(cookie.same_site().unwrap_or(SameSite::Lax));
    if cookie.path().is_none() {
        cookie.set_path("/");
    }
    let has_prefix = is_for_hosts(&cookie) || begins_with(&cookie, "__Secure-");
    let needs_secure =
        has_prefix || cookie.same_site() == Some(SameSite::None) || cookie.partitioned().unwrap_or_default();
    cookie.set_secure(cookie.secure().unwrap_or(is_secure || needs_secure));
    check_attributes(&cookie, needs_secure)?;
    HeaderValue::try_from(cookie.to_string()).map_err(|error| refusal(&cookie, &error, "use no control characters"))
}

/// Makes a cookie that removes the one of the same name, path and domain.
pub(in crate::app) fn removal(mut cookie: Cookie<'_>) -> Cookie<'_> {
    cookie.set_value("");
    cookie.set_max_age(Duration::ZERO);
    // For clients that know no Max-Age. Any moment in the past serves, and this one reads no clock.
    cookie.set_expires(OffsetDateTime::UNIX_EPOCH);
    cookie
}

fn check_name_and_size(cookie: &Cookie<'_>) -> Result {
    let (name, value) = (cookie.name(), cookie.value());
    if !is_token(name.as_bytes()) {
        return Err(refusal(
            cookie,
            &"its name is not a token",
            "use letters, digits, `-` and `_`",
        ));
    }
    let length = name.len().saturating_add(value.len());
    if length > COOKIE_BYTES_MAX {
        let why = format!("name and value have {length} bytes, and browsers store at most {COOKIE_BYTES_MAX}");
        return Err(refusal(cookie, &why, "keep the data on the server"));
    }
    Ok(())
}

fn check_attributes(cookie: &Cookie<'_>, needs_secure: bool) -> Result {
    // RFC 6265 §4.1.1: any character except control characters and `;`.
    let is_path_byte = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b';';
    let path = cookie.path().unwrap_or_default();
    if !path.starts_with('/') || !path.bytes().all(is_path_byte) {
        return Err(refusal(
            cookie,
            &"its path is invalid",
            "give an absolute path without `;`, such as `/`",
        ));
    }
    let is_domain_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let domain = cookie.domain();
    if domain.is_some_and(|domain| domain.is_empty() || !domain.bytes().all(is_domain_byte)) {
        return Err(refusal(
            cookie,
            &"its domain is invalid",
            "give a name such as `example.com`",
        ));
    }
    if needs_secure && cookie.secure() != Some(true) {
        let why = "browsers ignore it without `Secure`, because of its prefix, `SameSite=None` or `Partitioned`";
        return Err(refusal(cookie, &why, "leave out `secure(false)`"));
    }
    if is_for_hosts(cookie) && (domain.is_some() || path != "/") {
        let why = "browsers ignore a cookie of the prefix `__Host-` with a domain or another path than `/`";
        return Err(refusal(cookie, &why, "leave out path and domain"));
    }
    Ok(())
}

fn is_for_hosts(cookie: &Cookie<'_>) -> bool {
    begins_with(cookie, "__Host-")
}

/// Whether a name has a prefix, in any case (RFC 6265bis §4.1.3).
fn begins_with(cookie: &Cookie<'_>, prefix: &str) -> bool {
    let start = cookie.name().get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Returns a value as a `Set-Cookie` field has it: unchanged, or quoted and escaped as Tornado does.
///
/// ```text
/// cookie-octet  = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E           ; RFC 6265 §4.1.1
/// ```
///
/// # Errors
///
/// The first control character: it could end the field.
fn quoted(value: &str) -> Result<Cow<'_, str>, char> {
    let is_cookie_octet = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\');
    if value.bytes().all(is_cookie_octet) {
        return Ok(Cow::Borrowed(value));
    }
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for character in value.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            // Clients split at these even inside quotes.
            ',' => quoted.push_str("\\054"),
            ';' => quoted.push_str("\\073"),
            _ if character.is_control() => return Err(character),
            // Clients disagree about bytes beyond ASCII; Tornado reads this as the character.
            '\u{a0}'..='\u{ff}' => write!(quoted, "\\{:03o}", u32::from(character)).map_err(|_| character)?,
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    Ok(Cow::Owned(quoted))
}

fn refusal(cookie: &Cookie<'_>, why: &dyn Display, remedy: &str) -> Error {
    let name = cookie.name().escape_debug();
    Error::new(format!("could not set the cookie `{name}`: {why}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'c>(cookie: impl Into<Cookie<'c>>) -> Result<String, String> {
        let value = field_value(cookie.into(), false).map_err(|error| error.to_string())?;
        Ok(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn open_attributes_get_safe_values() {
        for (cookie, expected) in [
            (Cookie::build(("a", "1")), "a=1; HttpOnly; SameSite=Lax; Path=/"),
            (Cookie::build(("a", "1")).http_only(false), "a=1; SameSite=Lax; Path=/"),
            (
                Cookie::build(("a", "1")).same_site(SameSite::None),
                "a=1; HttpOnly; SameSite=None; Secure; Path=/",
            ),
            (
                Cookie::build(("a", "1")).partitioned(true),
                "a=1; HttpOnly; SameSite=Lax; Partitioned; Secure; Path=/",
            ),
            (
                Cookie::build(("__host-a", "1")),
                "__host-a=1; HttpOnly; SameSite=Lax; Secure; Path=/",
            ),
            (
                Cookie::build(("__Secure-a", "1")).path("/b").domain("foo.com"),
                "__Secure-a=1; HttpOnly; SameSite=Lax; Secure; Path=/b; Domain=foo.com",
            ),
            (
                Cookie::build(("a", "1")).max_age(Duration::days(10)),
                "a=1; HttpOnly; SameSite=Lax; Path=/; Max-Age=864000",
            ),
        ] {
            assert_eq!(line(cookie).as_deref(), Ok(expected));
        }
        let secure = field_value(Cookie::new("a", "1"), true).unwrap();
        assert_eq!(secure, "a=1; HttpOnly; SameSite=Lax; Secure; Path=/");
        let plain = field_value(Cookie::build(("a", "1")).secure(false).build(), true).unwrap();
        assert_eq!(plain, "a=1; HttpOnly; SameSite=Lax; Path=/");
    }

    #[test]
    fn values_are_quoted_as_tornado_quotes_them() {
        for (value, expected) in [
            ("", ""),
            ("a=b", "a=b"),
            ("a;b", "\"a\\073b\""),
            ("a\"b", "\"a\\\"b\""),
            ("a\\b,c", "\"a\\\\b\\054c\""),
            (" a b ", "\" a b \""),
            ("é", "\"\\351\""),
            ("Ж", "\"Ж\""),
        ] {
            assert_eq!(quoted(value).as_deref(), Ok(expected), "{value}");
        }
        for (value, character) in [
            ("a\r\nb", '\r'),
            ("a\0", '\0'),
            ("a\x7f", '\x7f'),
            ("é\u{85}", '\u{85}'),
        ] {
            assert_eq!(quoted(value), Err(character), "{value:?}");
        }
    }

    #[test]
    fn a_cookie_that_a_browser_would_ignore_or_read_differently_is_an_error() {
        let value = "v".repeat(COOKIE_BYTES_MAX);
        for (cookie, why) in [
            (Cookie::build(("", "1")), "not a token"),
            (Cookie::build(("a b", "1")), "not a token"),
            (Cookie::build(("a=b", "1")), "not a token"),
            (Cookie::build(("a;b", "1")), "not a token"),
            (Cookie::build(("a\r\nb", "1")), "`a\\r\\nb`"),
            (Cookie::build(("a", "1\n")), "the character '\\n'"),
            (Cookie::build(("a", value.as_str())), "4097 bytes"),
            (Cookie::build(("a", "1")).path("/; Domain=b"), "its path"),
            (Cookie::build(("a", "1")).path("b"), "its path"),
            (Cookie::build(("a", "1")).domain("b; Secure"), "its domain"),
            (Cookie::build(("a", "1")).domain(""), "its domain"),
            (Cookie::build(("__Host-a", "1")).path("/b"), "`__Host-`"),
            (Cookie::build(("__Host-a", "1")).domain("b.com"), "`__Host-`"),
            (Cookie::build(("__Secure-a", "1")).secure(false), "without `Secure`"),
            (
                Cookie::build(("a", "1")).same_site(SameSite::None).secure(false),
                "without `Secure`",
            ),
        ] {
            let error = line(cookie).unwrap_err();
            assert!(
                error.starts_with("could not set the cookie `") && error.contains(why),
                "{error}"
            );
        }
        assert!(line(("a", &value[1..])).is_ok());
    }

    #[test]
    fn a_removal_keeps_path_and_domain() {
        let removed = removal(Cookie::build("a").path("/b").domain("foo.com").build());
        assert_eq!(
            line(removed).as_deref(),
            Ok("a=; HttpOnly; SameSite=Lax; Path=/b; Domain=foo.com; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        );
    }
}
