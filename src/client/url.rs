//! URLs of WebSockets (RFC 6455 §3): `ws://host:port/path?query`, or `wss`.

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri};

use super::error::ConnectFailure;
use crate::message::parse_digits;

/// The default port of `ws`.
const PORT: u16 = 80;

/// The default port of `wss`.
const SECURE_PORT: u16 = 443;

/// The error of a text that is not a URL of this form.
const FORM: &str = "the URL does not have the form ws://host:port/path";

/// The parts of a WebSocket's URL.
#[derive(Debug)]
pub(super) struct Url {
    /// The scheme is `wss`.
    pub(super) is_secure: bool,
    /// A name or an IP address; an IPv6 address without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Host`.
    pub(super) authority: HeaderValue,
    pub(super) target: PathAndQuery,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, ConnectFailure> {
        let uri: Uri = text.parse().map_err(|_| ConnectFailure::Url(FORM))?;
        let is_secure = match uri.scheme_str() {
            Some(scheme) if scheme.eq_ignore_ascii_case("ws") => false,
            Some(scheme) if scheme.eq_ignore_ascii_case("wss") => true,
            Some(_) => {
                return Err(ConnectFailure::Url(
                    "the scheme is neither ws nor wss; write ws://host:port/path",
                ));
            }
            None => return Err(ConnectFailure::Url("the URL has no scheme; write ws://host:port/path")),
        };
        if text.contains('#') {
            return Err(ConnectFailure::Url(
                "the URL has a fragment, which is never sent; write %23 for a #",
            ));
        }
        let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
            return Err(ConnectFailure::Url("the URL has no host; write ws://host:port/path"));
        };
        if authority.as_str().contains('@') {
            return Err(ConnectFailure::Url(
                "the URL names a user; send an Authorization field instead",
            ));
        }
        let default_port = if is_secure { SECURE_PORT } else { PORT };
        let port = port(authority, default_port).ok_or(ConnectFailure::Url("the port is not a number up to 65535"))?;
        // An empty path is displayed as `/`, which the request needs.
        let target = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        if !target.is_ascii() {
            return Err(ConnectFailure::Url("the path is not ASCII; write other bytes as %XX"));
        }
        let host = authority.host();
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        Ok(Self {
            is_secure,
            host: address.unwrap_or(host).to_owned(),
            port,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| ConnectFailure::Url(FORM))?,
            target: target.parse().map_err(|_| ConnectFailure::Url(FORM))?,
        })
    }
}

/// The port of an authority without a user.
fn port(authority: &Authority, default: u16) -> Option<u16> {
    let behind_host = authority.as_str().strip_prefix(authority.host())?;
    match behind_host.strip_prefix(':').unwrap_or_default() {
        "" => Some(default),
        digits => parse_digits(digits.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::Url;
    use crate::client::error::shown;

    fn parse(text: &str) -> Result<(String, u16, String, String), String> {
        let url = Url::parse(text).map_err(|failure| failure.to_string())?;
        let authority = url.authority.to_str().unwrap().to_owned();
        Ok((url.host, url.port, authority, url.target.to_string()))
    }

    #[test]
    fn a_url_has_a_host_and_optional_port_path_and_query() {
        for (text, host, port, authority, target) in [
            ("ws://a", "a", 80, "a", "/"),
            ("ws://a/", "a", 80, "a", "/"),
            (
                "WS://A.example:8888/b/c?d=e%20f&g",
                "A.example",
                8888,
                "A.example:8888",
                "/b/c?d=e%20f&g",
            ),
            ("ws://127.0.0.1:1?x", "127.0.0.1", 1, "127.0.0.1:1", "/?x"),
            ("ws://[::1]:9/x", "::1", 9, "[::1]:9", "/x"),
            ("ws://[::1]", "::1", 80, "[::1]", "/"),
            ("wss://a/", "a", 443, "a", "/"),
            ("WSS://a:444/", "a", 444, "a:444", "/"),
        ] {
            assert_eq!(
                Url::parse(text).unwrap().is_secure,
                text[..3].eq_ignore_ascii_case("wss")
            );
            let expected = (host.to_owned(), port, authority.to_owned(), target.to_owned());
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_invalid_url_has_an_error_with_the_reason() {
        for (text, said) in [
            ("", "form"),
            ("a", "no scheme"),
            ("/path", "no scheme"),
            ("http://a/", "neither ws nor wss"),
            ("ws:///path", "form"),
            ("ws://a/b#c", "fragment"),
            ("ws://u:p@a/", "Authorization"),
            ("ws://a@a/", "Authorization"),
            ("ws://a/b c", "form"),
            ("ws://a/b\r\nX: y", "form"),
            ("ws://a:b/", "port"),
            ("ws://a:65536/", "port"),
            ("ws://a:+1/", "port"),
            ("ws://:80/", "host"),
            ("ws://a/\u{e9}", "%XX"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn errors_hide_the_user_and_query_of_a_url() {
        assert_eq!(shown("ws://a/b?token=c"), "ws://a/b");
        assert_eq!(shown("ws://user:password@a/b"), "ws://a/b");
        assert_eq!(shown("ws://a/b@c"), "ws://a/b@c");
        assert_eq!(shown("nonsense"), "nonsense");
    }
}
