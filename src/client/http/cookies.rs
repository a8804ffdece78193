//! The cookies of a client: what responses set, and what requests send back (RFC 6265).

use std::cell::RefCell;

use cookie_store::CookieStore;
use http::{HeaderValue, header};
use url::Url;

use crate::message::Headers;

/// Most cookies of one jar. 1000: RFC 6265 §6.1 asks browsers for at least 3000 of all sites, and a client calls few.
const COOKIES_MAX: usize = 1000;

/// Most bytes of one cookie with its attributes. 4096: what RFC 6265 §6.1 asks for.
const COOKIE_BYTES_MAX: usize = 4096;

/// The cookies of one client on one shard.
#[derive(Debug, Default)]
pub(super) struct CookieJar {
    store: RefCell<CookieStore>,
}

impl CookieJar {
    /// Stores the cookies of a response. Those that are malformed, foreign or beyond the limits are ignored.
    pub(super) fn store(&self, fields: &Headers, url: &Url) {
        for (_, value) in fields.iter().filter(|(name, _)| **name == header::SET_COOKIE) {
            let Ok(text) = value.to_str() else { continue };
            let mut store = self.store.borrow_mut();
            if text.len() <= COOKIE_BYTES_MAX && store.iter_any().count() < COOKIES_MAX {
                // The fetch succeeds without a cookie that the jar refuses.
                drop(store.parse(text, url));
            }
        }
    }

    /// Returns the value of `Cookie` for a URL; `None` without cookies.
    pub(super) fn field(&self, url: &Url) -> Option<HeaderValue> {
        let store = self.store.borrow();
        let pairs: Vec<String> = store
            .get_request_values(url)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        let mut value = HeaderValue::try_from(pairs.join("; ")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};
    use url::Url;

    use super::{COOKIE_BYTES_MAX, COOKIES_MAX, CookieJar};
    use crate::message::Headers;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn store(jar: &CookieJar, from: &str, cookie: &str) {
        let mut fields = Headers::new();
        fields.add(header::SET_COOKIE, HeaderValue::from_str(cookie).unwrap());
        jar.store(&fields, &url(from));
    }

    fn sent(jar: &CookieJar, to: &str) -> String {
        let field = jar.field(&url(to));
        field.map_or_else(String::new, |field| field.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_goes_back_to_its_host_and_path() {
        let jar = CookieJar::default();
        store(&jar, "http://a.example/x/y", "id=1; Path=/x");
        assert_eq!(sent(&jar, "http://a.example/x/z"), "id=1");
        for elsewhere in ["http://a.example/", "http://b.example/x", "http://c.a.example/x"] {
            assert_eq!(sent(&jar, elsewhere), "", "{elsewhere}");
        }
        store(&jar, "http://a.example/", "id=2; Path=/x");
        assert_eq!(sent(&jar, "http://a.example/x/z"), "id=2");
        store(&jar, "http://a.example/", "id=; Path=/x; Max-Age=0");
        assert_eq!(sent(&jar, "http://a.example/x/z"), "");
    }

    #[test]
    fn a_cookie_of_a_foreign_domain_is_refused_and_a_secure_one_stays_on_https() {
        let jar = CookieJar::default();
        store(&jar, "http://a.example/", "b=1; Domain=b.example");
        assert_eq!(sent(&jar, "http://b.example/"), "");
        store(&jar, "http://a.b.example/", "c=1; Domain=b.example");
        assert_eq!(sent(&jar, "http://d.b.example/"), "c=1");
        store(&jar, "https://s.example/", "d=1; Secure");
        assert_eq!(sent(&jar, "https://s.example/"), "d=1");
        assert_eq!(sent(&jar, "http://s.example/"), "");
    }

    #[test]
    fn a_jar_has_limits() {
        let jar = CookieJar::default();
        for number in 0..=COOKIES_MAX {
            store(&jar, &format!("http://h{number}.example/"), "a=b");
        }
        assert_eq!(sent(&jar, &format!("http://h{}.example/", COOKIES_MAX - 1)), "a=b");
        assert_eq!(sent(&jar, &format!("http://h{COOKIES_MAX}.example/")), "");
        let jar = CookieJar::default();
        store(
            &jar,
            "http://a.example/",
            &format!("a={}", "x".repeat(COOKIE_BYTES_MAX)),
        );
        assert_eq!(sent(&jar, "http://a.example/"), "");
    }
}
