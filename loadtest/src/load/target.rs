//! The target of a load: a parsed URL and the addresses of its host.
//!
//! The system's resolver can block for long and offers no way to cancel it. So it runs on a thread that is abandoned at
//! the timeout.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use http::Uri;

/// The protocol of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    WebSocket,
}

/// A parsed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    /// Whether TLS is below the protocol.
    pub(crate) is_secure: bool,
    /// The host without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// Host and port as written in the URL, for the `Host` field (RFC 9110 section 7.2).
    pub(crate) authority: String,
    /// Path and query for the request line; never empty.
    pub(crate) path: String,
}

impl Target {
    /// Returns the target `path` at a known address.
    pub(crate) fn at(scheme: Scheme, address: SocketAddr, path: &str) -> Self {
        Self {
            scheme,
            is_secure: false,
            host: address.ip().to_string(),
            port: address.port(),
            authority: address.to_string(),
            path: path.to_owned(),
        }
    }

    /// Returns the same target with TLS, or without.
    pub(crate) fn over_tls(self, is_secure: bool) -> Self {
        Self { is_secure, ..self }
    }

    /// Returns the addresses of the host, at least one.
    ///
    /// # Errors
    ///
    /// The name is unknown, or the resolver took longer than `timeout`.
    pub(crate) fn resolve(&self, timeout: Duration) -> Result<Vec<SocketAddr>> {
        let (answer, answers) = mpsc::channel();
        let (host, port) = (self.host.clone(), self.port);
        thread::spawn(move || {
            let found = (host.as_str(), port).to_socket_addrs();
            // The receiver is gone if the answer comes after the timeout.
            answer.send(found.map(Iterator::collect::<Vec<_>>)).ok();
        });
        let found = answers
            .recv_timeout(timeout)
            .map_err(|_| anyhow!("could not resolve `{}`: no answer within {timeout:?}", self.host))?;
        let addresses = found.with_context(|| format!("could not resolve `{}`", self.host))?;
        ensure!(!addresses.is_empty(), "`{}` has no address", self.host);
        Ok(addresses)
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let uri: Uri = text.parse().with_context(|| format!("`{text}` is not a URL"))?;
        let (scheme, is_secure) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, false),
            Some("https") => (Scheme::Http, true),
            Some("ws") => (Scheme::WebSocket, false),
            Some("wss") => bail!("`{text}`: WebSockets over TLS are not supported; use ws://"),
            _ => bail!("`{text}` must start with http://, https:// or ws://"),
        };
        let authority = uri.authority().with_context(|| format!("`{text}` names no host"))?;
        ensure!(
            !authority.as_str().contains('@'),
            "`{text}`: a user name in the URL is not supported; send it with --header"
        );
        let port = match authority.as_str().strip_prefix(authority.host()) {
            None | Some("") if is_secure => 443,
            None | Some("") => 80,
            Some(rest) => {
                let port = rest.strip_prefix(':').and_then(|port| port.parse().ok());
                port.filter(|port| *port > 0)
                    .with_context(|| format!("`{text}` has no valid port"))?
            }
        };
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        ensure!(!host.is_empty(), "`{text}` names no host");
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            scheme,
            is_secure,
            host,
            port,
            authority: authority.as_str().to_owned(),
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http if self.is_secure => "https",
            Scheme::Http => "http",
            Scheme::WebSocket => "ws",
        };
        write!(formatter, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_parsed() {
        for (text, host, port, authority, path) in [
            ("http://localhost", "localhost", 80, "localhost", "/"),
            (
                "http://localhost:8888/a/b?c=d",
                "localhost",
                8888,
                "localhost:8888",
                "/a/b?c=d",
            ),
            ("http://[::1]:99/", "::1", 99, "[::1]:99", "/"),
            ("ws://127.0.0.1:1/ws/echo", "127.0.0.1", 1, "127.0.0.1:1", "/ws/echo"),
            ("http://host?q", "host", 80, "host", "/?q"),
            ("https://host/", "host", 443, "host", "/"),
            ("https://host:444/", "host", 444, "host:444", "/"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(
                (
                    target.host.as_str(),
                    target.port,
                    target.authority.as_str(),
                    target.path.as_str()
                ),
                (host, port, authority, path),
                "{text}"
            );
        }
    }

    #[test]
    fn invalid_urls_are_named() {
        for (text, mistake) in [
            ("", "is not a URL"),
            ("http://", "is not a URL"),
            ("localhost:8888", "must start with http://"),
            ("/plaintext", "must start with http://"),
            ("ftp://host/", "must start with http://"),
            ("wss://host/", "over TLS are not supported"),
            ("http://user@host/", "--header"),
            ("http://host:0/", "no valid port"),
            ("http://host:99999/", "no valid port"),
            ("http://host:/", "no valid port"),
            ("http://a b/", "is not a URL"),
        ] {
            let error = format!("{:#}", text.parse::<Target>().unwrap_err());
            assert!(error.contains(mistake), "{text}: {error}");
        }
    }

    #[test]
    fn literal_addresses_need_no_network() {
        let target: Target = "http://127.0.0.1:5/".parse().unwrap();
        let patience = Duration::from_secs(10);
        assert_eq!(target.resolve(patience).unwrap(), ["127.0.0.1:5".parse().unwrap()]);
        assert_eq!(Target::at(Scheme::Http, "127.0.0.1:5".parse().unwrap(), "/"), target);
    }
}
