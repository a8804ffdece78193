//! The server's opening handshake (RFC 6455 §4.2): the check of the request, and the response. Over HTTP/2 it is an
//! extended CONNECT (RFC 8441 §5), which has neither key nor `Upgrade`.

use core::fmt;

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tungstenite::handshake::derive_accept_key;

use super::deflate::Deflaters;
use super::extensions::{self, Extension};
use super::negotiate::{Deflate, DeflateConfig};
use crate::message::{RequestHead, ResponseHead, Version, default_port, host_and_port, is_token};

/// The only version of the protocol.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// A request that may become a WebSocket.
#[derive(Debug)]
pub struct ServerHandshake<'h> {
    /// `None` over HTTP/2.
    accept: Option<String>,
    subprotocols: Vec<&'h str>,
    extensions: Vec<Extension<'h>>,
}

impl<'h> ServerHandshake<'h> {
    /// Checks every requirement of RFC 6455 §4.2.1 except the origin.
    ///
    /// The application checks the origin, usually with [`is_same_origin`].
    ///
    /// # Errors
    ///
    /// The first requirement that the request fails; [`HandshakeError::response`] makes the response.
    pub fn new(head: &'h RequestHead) -> Result<Self, HandshakeError> {
        let fields = head.fields();
        if !head.is_extended_connect() {
            check_upgrade(head)?;
        }
        if head.authority().is_empty() {
            return Err(HandshakeError::Host);
        }
        if fields.get("transfer-encoding").is_some()
            || fields.get("content-length").is_some_and(|length| length != b"0")
        {
            return Err(HandshakeError::Content);
        }
        if only(head, "sec-websocket-version") != Some(b"13") {
            return Err(HandshakeError::Version);
        }
        let accept = match head.is_extended_connect() {
            true => None,
            false => {
                let key = only(head, "sec-websocket-key").filter(|key| is_key(key));
                Some(derive_accept_key(key.ok_or(HandshakeError::Key)?))
            }
        };
        let mut extensions = Vec::new();
        for value in fields.get_all("sec-websocket-extensions") {
            extensions::parse(value, &mut extensions).map_err(|_| HandshakeError::Extensions)?;
        }
        Ok(Self {
            accept,
            subprotocols: subprotocols(head)?,
            extensions,
        })
    }

    /// Returns the client's subprotocols in its order of preference (RFC 6455 §1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> {
        self.subprotocols.iter().copied()
    }

    /// Turns `response` into the 101 that opens the connection, or the 200 over HTTP/2, and keeps its fields.
    ///
    /// `subprotocol` is the chosen one; `deflate` configures compression, or disables it. Pass the result to
    /// [`Connection::server`](super::Connection::server).
    ///
    /// # Errors
    ///
    /// [`SubprotocolNotOffered`], for which a client would fail the connection; `response` is unchanged.
    pub fn respond(
        &self,
        subprotocol: Option<&str>,
        deflate: Option<&DeflateConfig>,
        deflaters: &Deflaters,
        response: &mut ResponseHead,
    ) -> Result<Option<Deflate>, SubprotocolNotOffered> {
        let headers = &mut response.headers;
        if let Some(chosen) = subprotocol {
            let is_offered = self.subprotocols.contains(&chosen);
            let value = HeaderValue::from_str(chosen).ok().filter(|_| is_offered);
            headers.set(header::SEC_WEBSOCKET_PROTOCOL, value.ok_or(SubprotocolNotOffered)?);
        }
        let agreed = deflate.and_then(|config| config.accept(&self.extensions, deflaters));
        let deflate = agreed.and_then(|(answer, deflate)| {
            headers.set(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_str(&answer).ok()?);
            Some(deflate)
        });
        let Some(accept) = &self.accept else {
            response.status = StatusCode::OK;
            return Ok(deflate);
        };
        if let Ok(accept) = HeaderValue::from_str(accept) {
            headers.set(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        headers.set(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.set(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        response.status = StatusCode::SWITCHING_PROTOCOLS;
        Ok(deflate)
    }
}

/// Checks what opens a WebSocket over HTTP/1.1 alone.
fn check_upgrade(head: &RequestHead) -> Result<(), HandshakeError> {
    if *head.method() != Method::GET {
        return Err(HandshakeError::Method);
    }
    if head.version() != Version::Http11 {
        return Err(HandshakeError::HttpVersion);
    }
    if !head.fields().has_token("upgrade", "websocket") {
        return Err(HandshakeError::Upgrade);
    }
    if !head.fields().has_token("connection", "upgrade") {
        return Err(HandshakeError::Connection);
    }
    Ok(())
}

/// Returns whether `Origin` names the host and port that the request was made to (Tornado's `check_origin`).
///
/// The request's authority is that of its target, or else `Host`. Letter case is ignored, and the default ports of http
/// and https count. The scheme must match too if it is known: `scheme`, or else that of the target. A request without
/// `Origin` comes from a program other than a browser and passes; the origin `null` fails.
#[must_use]
pub fn is_same_origin(head: &RequestHead, scheme: Option<&str>) -> bool {
    if head.fields().get("origin").is_none() {
        return true;
    }
    let origin = only(head, "origin").and_then(|origin| str::from_utf8(origin).ok());
    let Some((origin_scheme, rest)) = origin.and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    if !["http", "https"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(origin_scheme))
    {
        return false;
    }
    let own_scheme = scheme.or_else(|| head.scheme()).unwrap_or(origin_scheme);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let theirs = host_and_port(authority, default_port(origin_scheme));
    let own = host_and_port(head.authority(), default_port(own_scheme));
    let (Some((host, port)), Some((own_host, own_port))) = (theirs, own) else {
        return false;
    };
    !host.is_empty()
        && host.eq_ignore_ascii_case(own_host)
        && port == own_port
        && own_scheme.eq_ignore_ascii_case(origin_scheme)
}

/// The requirement that a request for a WebSocket fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The method is not GET.
    Method,
    /// The request is not HTTP/1.1.
    HttpVersion,
    /// `Upgrade` does not name websocket.
    Upgrade,
    /// `Connection` does not name upgrade.
    Connection,
    /// The request names no host.
    Host,
    /// The request has content.
    Content,
    /// `Sec-WebSocket-Version` is missing, repeated, or not 13.
    Version,
    /// `Sec-WebSocket-Key` is missing, repeated, or not 16 bytes in base64.
    Key,
    /// `Sec-WebSocket-Protocol` is not a list of tokens.
    Subprotocols,
    /// `Sec-WebSocket-Extensions` is malformed.
    Extensions,
}

impl HandshakeError {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::HttpVersion
            | Self::Upgrade
            | Self::Connection
            | Self::Host
            | Self::Content
            | Self::Key
            | Self::Subprotocols
            | Self::Extensions => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the response, with the fields that its status requires.
    ///
    /// These are `Allow`, or the supported version (RFC 6455 §4.4) and `Upgrade` (RFC 9110 §15.5.22).
    #[must_use]
    pub fn response(self) -> ResponseHead {
        let mut response = ResponseHead::new(self.status());
        match self {
            Self::Method => response.headers.set(header::ALLOW, HeaderValue::from_static("GET")),
            Self::Version => {
                response.headers.set(header::SEC_WEBSOCKET_VERSION, VERSION);
                response
                    .headers
                    .set(header::UPGRADE, HeaderValue::from_static("websocket"));
            }
            _ => {}
        }
        response
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Method => "a WebSocket is opened with GET",
            Self::HttpVersion => "a WebSocket is opened with HTTP/1.1",
            Self::Upgrade => "Upgrade does not name websocket",
            Self::Connection => "Connection does not name upgrade",
            Self::Host => "the request has no Host",
            Self::Content => "a request for a WebSocket has no content",
            Self::Version => "Sec-WebSocket-Version must be 13",
            Self::Key => "Sec-WebSocket-Key must be sixteen bytes in base64",
            Self::Subprotocols => "Sec-WebSocket-Protocol must be a list of tokens",
            Self::Extensions => "Sec-WebSocket-Extensions is malformed",
        })
    }
}

impl core::error::Error for HandshakeError {}

/// The error of a chosen subprotocol that the client did not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubprotocolNotOffered;

impl fmt::Display for SubprotocolNotOffered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the chosen subprotocol was not offered by the client")
    }
}

impl core::error::Error for SubprotocolNotOffered {}

/// The field with which a client requests this version.
pub(super) const fn version() -> (HeaderName, HeaderValue) {
    (header::SEC_WEBSOCKET_VERSION, VERSION)
}

/// The value of a field that occurs once.
fn only<'h>(head: &'h RequestHead, name: &str) -> Option<&'h [u8]> {
    let mut values = head.fields().get_all(name);
    values.next().filter(|_| values.next().is_none())
}

/// Whether this is 16 bytes in base64 (RFC 6455 §4.1).
fn is_key(key: &[u8]) -> bool {
    key.len() == 24 && data_encoding::BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

fn subprotocols(head: &RequestHead) -> Result<Vec<&str>, HandshakeError> {
    let mut offered = Vec::new();
    for value in head.fields().get_all("sec-websocket-protocol") {
        let value = str::from_utf8(value).map_err(|_| HandshakeError::Subprotocols)?;
        for element in value.split(',') {
            let element = element.trim_matches([' ', '\t']);
            // Empty elements are ignored (RFC 9110 §5.6.1).
            if !element.is_empty() && !is_token(element.as_bytes()) {
                return Err(HandshakeError::Subprotocols);
            }
            if !element.is_empty() {
                offered.push(element);
            }
        }
    }
    Ok(offered)
}
