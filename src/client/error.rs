//! The error of opening a WebSocket: the address, the reason, and what to do.

use std::fmt;
use std::io;
use std::time::Duration;

use super::tls::error::TlsError;
use crate::http1::ResponseError;
use crate::message::{HeaderName, HeaderValue, ResponseHead, StatusCode, header};
use crate::websocket::ClientHandshakeError;

/// The error of opening a WebSocket.
#[derive(Debug)]
pub struct ConnectError {
    url: String,
    failure: Box<ConnectFailure>,
}

/// The reason why a WebSocket could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The URL is invalid.
    Url(&'static str),
    /// The connection could not be made secure, or this build has no TLS.
    Tls(TlsError),
    /// The application set a field that belongs to the handshake.
    Field(HeaderName),
    /// The kernel refused random numbers for the nonce.
    Random(io::Error),
    /// The host was not found, was unreachable, or refused the connection.
    Connect(squall_shards::ConnectError),
    /// The connection broke during the handshake.
    Broken(io::Error),
    /// The server did not answer within the connect timeout.
    Silent(Duration),
    /// The response violates HTTP/1.1.
    Response(ResponseError),
    /// The server answered with another status than 101. Redirects are not followed.
    Refused(ResponseHead),
    /// The server answered 101, but the response fails the handshake.
    Handshake(ClientHandshakeError),
}

impl ConnectError {
    pub(super) fn new(url: &str, failure: ConnectFailure) -> Self {
        Self {
            url: shown(url),
            failure: Box::new(failure),
        }
    }

    /// Returns the reason.
    #[must_use]
    pub fn failure(&self) -> &ConnectFailure {
        &self.failure
    }

    /// Returns the status of the response, if it was not 101.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match &*self.failure {
            ConnectFailure::Refused(head) => Some(head.status),
            _ => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "could not open a WebSocket at {}: {}",
            self.url, self.failure
        )
    }
}

impl std::error::Error for ConnectError {}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(what) => formatter.write_str(what),
            Self::Tls(error) => error.fmt(formatter),
            Self::Field(name) => write!(formatter, "the field {name} belongs to the handshake; do not set it"),
            Self::Random(error) => write!(formatter, "the kernel refuses random numbers: {error}; allow getrandom"),
            Self::Connect(error) => error.fmt(formatter),
            Self::Broken(error) => write!(formatter, "the connection broke during the handshake: {error}"),
            Self::Silent(timeout) => write!(
                formatter,
                "the server did not answer the handshake within {timeout:?}; check the URL, or raise connect_timeout"
            ),
            Self::Response(error) => error.fmt(formatter),
            Self::Refused(head) => refusal(head, formatter),
            Self::Handshake(error) => error.fmt(formatter),
        }
    }
}

fn refusal(head: &ResponseHead, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(formatter, "the server answered {} instead of 101", head.status)?;
    let location = head.headers.get(&header::LOCATION).map(HeaderValue::to_str);
    match location {
        Some(Ok(location)) if head.status.is_redirection() => {
            write!(
                formatter,
                "; redirects are not followed, and this one leads to {}",
                shown(location)
            )
        }
        _ => Ok(()),
    }
}

impl From<TlsError> for ConnectFailure {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<ResponseError> for ConnectFailure {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}

/// A URL as errors show it: without its query and user, which may be secret.
pub(super) fn shown(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (text, _) = text.split_at(end);
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}
