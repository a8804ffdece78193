//! Where a request goes: the origin of its URL, and the endpoint of the connection, which a proxy may change.

use std::rc::Rc;

use http::HeaderValue;
use url::{Position, Url};

use super::error::FetchFailure;

/// The key of a pooled connection: two requests with equal endpoints may share one.
///
/// A pool belongs to one client, so its connections have the same settings of TLS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    pub(super) is_secure: bool,
    /// A name or an IP address; an IPv6 address without its brackets.
    pub(super) host: Box<str>,
    pub(super) port: u16,
    /// The proxy that opens a tunnel to this host.
    pub(super) tunnel: Option<Rc<ProxyAddress>>,
}

/// A proxy, as a connection needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ProxyAddress {
    pub(super) host: Box<str>,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: Option<HeaderValue>,
}

impl Endpoint {
    /// The endpoint of a URL's origin.
    pub(super) fn of(url: &Url, tunnel: Option<Rc<ProxyAddress>>) -> Result<Self, FetchFailure> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(FetchFailure::Url(
                "the URL has no host; write http://host:port/path".to_owned(),
            ));
        };
        Ok(Self {
            is_secure: is_secure(url),
            host: without_brackets(host).into(),
            port,
            tunnel,
        })
    }

    /// `host:port`, as CONNECT needs it (RFC 9110 §9.3.6).
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Reads the URL of a request. Its user goes into `Authorization`, its fragment nowhere.
pub(super) fn parse(text: &str) -> Result<Url, FetchFailure> {
    let url = Url::parse(text)
        .map_err(|error| FetchFailure::Url(format!("the URL is invalid: {error}; write http://host:port/path")))?;
    check(&url)?;
    Ok(url)
}

/// Checks that the scheme of a URL is one that the client speaks.
pub(super) fn check(url: &Url) -> Result<(), FetchFailure> {
    match url.scheme() {
        "http" | "https" => Ok(()),
        scheme => Err(FetchFailure::Url(format!(
            "the scheme is {scheme}; write http:// or https://"
        ))),
    }
}

pub(super) fn is_secure(url: &Url) -> bool {
    url.scheme() == "https"
}

/// The value of `Host` (RFC 9110 §7.2).
pub(super) fn host_field(url: &Url) -> Result<HeaderValue, FetchFailure> {
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    HeaderValue::from_str(authority).map_err(|_| FetchFailure::Url("the host has a byte that HTTP forbids".to_owned()))
}

/// The request-target in origin-form (RFC 9112 §3.2.1).
pub(super) fn origin_form(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

/// The request-target in absolute-form, for proxies (RFC 9112 §3.2.2).
pub(super) fn absolute_form(url: &Url) -> String {
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    format!("{}://{authority}{}", url.scheme(), origin_form(url))
}

fn without_brackets(host: &str) -> &str {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    address.unwrap_or(host)
}
