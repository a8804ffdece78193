//! The credentials of a request: `Basic` and `Bearer` (RFC 7617, RFC 6750).
//!
//! Their field values are marked as sensitive, so that a logged request does not show them.

use data_encoding::BASE64;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

/// The value of `Authorization` for a user and a password; `None` if the user contains a colon.
pub(super) fn basic(user: &[u8], password: &[u8]) -> Option<HeaderValue> {
    if user.contains(&b':') {
        return None;
    }
    let encoded = BASE64.encode(&[user, b":", password].concat());
    sensitive(&format!("Basic {encoded}"))
}

/// The value of `Authorization` for a token; `None` if it has a byte that HTTP forbids.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {token}"))
}

/// The credentials that a URL contains.
pub(super) fn of_url(url: &Url) -> Option<HeaderValue> {
    let (user, password) = (url.username(), url.password());
    if user.is_empty() && password.is_none() {
        return None;
    }
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    basic(&decoded(user), &decoded(password.unwrap_or_default()))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{basic, bearer, of_url};

    #[test]
    fn credentials_become_a_field() {
        assert_eq!(
            basic(b"Aladdin", b"open sesame").unwrap(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert_eq!(basic(b"a:b", b""), None);
        let value = bearer("abc").unwrap();
        assert_eq!(value, "Bearer abc");
        assert!(value.is_sensitive());
        assert_eq!(bearer("a\nb"), None);
        let of = |text| of_url(&Url::parse(text).unwrap());
        assert_eq!(of("http://a/"), None);
        assert_eq!(of("http://u%40v:p%20q@a/"), basic(b"u@v", b"p q"));
        assert_eq!(of("http://u@a/"), basic(b"u", b""));
    }
}
