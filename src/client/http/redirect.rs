//! Redirects: whether a response leads elsewhere, and what the request becomes on its way (RFC 9110 §15.4).
//!
//! Invariant: credentials never reach another origin than the one they were meant for, and a request that began with
//! `https` never continues with `http`.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::address;
use super::error::FetchFailure;
use crate::message::Headers;

/// Fields that a request keeps only on its own origin.
const CREDENTIALS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("cookie2"),
];

/// Fields that describe content.
const OF_CONTENT: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
];

/// Returns where a response leads, if it redirects.
///
/// # Errors
///
/// The place is malformed, or speaks another scheme than the client, or would leave `https`.
pub(super) fn target(
    status: StatusCode,
    location: Option<&HeaderValue>,
    from: &Url,
) -> Result<Option<Url>, FetchFailure> {
    let Some(location) = location.filter(|_| is_redirect(status)) else {
        return Ok(None);
    };
    let location = str::from_utf8(location.as_bytes());
    let location = location.map_err(|_| FetchFailure::Redirect("its location is not UTF-8"))?;
    let to = from
        .join(location)
        .map_err(|_| FetchFailure::Redirect("its location is not a URL"))?;
    if address::check(&to).is_err() || !to.has_host() {
        return Err(FetchFailure::Redirect("it leads to another scheme than http and https"));
    }
    if address::is_secure(from) && !address::is_secure(&to) {
        return Err(FetchFailure::Redirect(
            "it leads from https to http, which others can read",
        ));
    }
    Ok(Some(to))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Returns the method after a redirect. Another one than before means that the content is dropped.
///
/// POST becomes GET with 301 and 302, as every browser does; everything but HEAD becomes GET with 303.
pub(super) fn method(status: StatusCode, before: &Method) -> Method {
    match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if *before == Method::POST => Method::GET,
        StatusCode::SEE_OTHER if *before != Method::HEAD => Method::GET,
        _ => before.clone(),
    }
}

/// Removes the fields that do not belong to the request after a redirect.
pub(super) fn strip(fields: &mut Headers, from: &Url, to: &Url, drops_content: bool) {
    if from.origin() != to.origin() {
        for name in CREDENTIALS.iter().chain([&header::HOST]) {
            fields.remove(name);
        }
    }
    if drops_content {
        for name in &OF_CONTENT {
            fields.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method, StatusCode, header};
    use url::Url;

    use super::{method, strip, target};
    use crate::message::Headers;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn leads(from: &str, location: &'static str) -> Result<String, String> {
        let location = HeaderValue::from_str(location).unwrap();
        let to = target(StatusCode::FOUND, Some(&location), &url(from));
        to.map(|to| to.unwrap().to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_location_is_resolved_against_the_url() {
        for (location, to) in [
            ("/b", "http://a:1/b"),
            ("b?c#d", "http://a:1/x/b?c#d"),
            ("../b", "http://a:1/b"),
            ("//b/c", "http://b/c"),
            ("https://b", "https://b/"),
            ("?q", "http://a:1/x/y?q"),
            ("", "http://a:1/x/y"),
        ] {
            assert_eq!(leads("http://a:1/x/y", location), Ok(to.to_owned()), "{location}");
        }
        for (from, location, error) in [
            ("http://a/", "ftp://b/", "another scheme"),
            ("http://a/", "mailto:b", "another scheme"),
            ("http://a/", "http://[", "not a URL"),
            ("https://a/", "http://a/", "from https to http"),
        ] {
            assert!(leads(from, location).unwrap_err().contains(error), "{location}");
        }
    }

    #[test]
    fn a_response_without_a_location_or_a_status_of_redirects_leads_nowhere() {
        let location = HeaderValue::from_static("/b");
        for status in [200, 201, 300, 304, 305, 404] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(target(status, Some(&location), &url("http://a/")).unwrap(), None);
        }
        assert_eq!(target(StatusCode::FOUND, None, &url("http://a/")).unwrap(), None);
    }

    #[test]
    fn the_method_changes_as_in_browsers() {
        let after = |status, before: &Method| method(StatusCode::from_u16(status).unwrap(), before);
        for (status, before, expected) in [
            (301, Method::POST, Method::GET),
            (302, Method::POST, Method::GET),
            (301, Method::PUT, Method::PUT),
            (303, Method::PUT, Method::GET),
            (303, Method::POST, Method::GET),
            (303, Method::HEAD, Method::HEAD),
            (307, Method::POST, Method::POST),
            (308, Method::PUT, Method::PUT),
            (302, Method::HEAD, Method::HEAD),
        ] {
            assert_eq!(after(status, &before), expected, "{status} {before}");
        }
    }

    #[test]
    fn credentials_stay_on_their_origin() {
        let all = || {
            let mut fields = Headers::new();
            for name in [
                header::AUTHORIZATION,
                header::COOKIE,
                header::HOST,
                header::CONTENT_TYPE,
                header::ACCEPT,
            ] {
                fields.set(name, HeaderValue::from_static("x"));
            }
            fields
        };
        let kept = |to: &str, drops_content| {
            let mut fields = all();
            strip(&mut fields, &url("http://a/x"), &url(to), drops_content);
            let names: Vec<_> = fields.iter().map(|(name, _)| name.to_string()).collect();
            names.join(" ")
        };
        assert_eq!(
            kept("http://a:80/y", false),
            "authorization cookie host content-type accept"
        );
        assert_eq!(kept("http://a/y", true), "authorization cookie host accept");
        for elsewhere in ["http://b/", "http://a:81/", "https://a/", "http://b.a/"] {
            assert_eq!(kept(elsewhere, false), "content-type accept", "{elsewhere}");
        }
    }
}
