//! The client's opening handshake (RFC 6455 §4.1): the fields of its request, and the check of the response.

use core::fmt;

use data_encoding::BASE64;
use http::{HeaderValue, StatusCode, header};
use tungstenite::handshake::derive_accept_key;

use super::deflate::Deflaters;
use super::extensions;
use super::handshake::version;
use super::negotiate::{Deflate, DeflateConfig};
use crate::message::{Headers, ResponseHead, is_token};

/// A client's request for a WebSocket.
#[derive(Debug, Clone)]
#[must_use = "a handshake does nothing until its request is sent"]
pub struct ClientHandshake {
    key: String,
    subprotocols: Vec<String>,
    deflate: Option<DeflateConfig>,
}

/// The result of a handshake.
#[derive(Debug)]
pub struct Agreement {
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
    /// The compression for [`Connection::client`](super::Connection::client).
    pub deflate: Option<Deflate>,
}

impl ClientHandshake {
    /// Makes a request with a nonce, 16 random bytes that are new for each connection.
    pub fn new(nonce: [u8; 16]) -> Self {
        Self {
            key: BASE64.encode(&nonce),
            subprotocols: Vec::new(),
            deflate: None,
        }
    }

    /// Offers a subprotocol, after those offered before.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Offers permessage-deflate.
    pub fn deflate(mut self, config: DeflateConfig) -> Self {
        self.deflate = Some(config);
        self
    }

    /// Returns the fields of the request, without `Host`; the request is a `GET` of HTTP/1.1.
    ///
    /// # Errors
    ///
    /// [`ClientHandshakeError::Subprotocol`] if the name of an offered subprotocol is not a token.
    pub fn fields(&self) -> Result<Headers, ClientHandshakeError> {
        let mut headers = Headers::new();
        headers.set(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.set(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(key) = HeaderValue::from_str(&self.key) {
            headers.set(header::SEC_WEBSOCKET_KEY, key);
        }
        let (name, value) = version();
        headers.set(name, value);
        if !self.subprotocols.is_empty() {
            if !self.subprotocols.iter().all(|name| is_token(name.as_bytes())) {
                return Err(ClientHandshakeError::Subprotocol);
            }
            let list = HeaderValue::from_str(&self.subprotocols.join(", "));
            let list = list.map_err(|_| ClientHandshakeError::Subprotocol)?;
            headers.set(header::SEC_WEBSOCKET_PROTOCOL, list);
        }
        if let Some(Ok(offer)) = self
            .deflate
            .as_ref()
            .map(|config| HeaderValue::from_str(&config.offer()))
        {
            headers.set(header::SEC_WEBSOCKET_EXTENSIONS, offer);
        }
        Ok(headers)
    }

    /// Checks the response (RFC 6455 §4.1, the list after "Once the client's opening handshake has been sent").
    ///
    /// # Errors
    ///
    /// The response violates the RFC or accepts more than was offered; the client closes the transport.
    pub fn check(&self, response: &ResponseHead, deflaters: &Deflaters) -> Result<Agreement, ClientHandshakeError> {
        let headers = &response.headers;
        if response.status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ClientHandshakeError::Status(response.status));
        }
        let upgrade = headers.get(&header::UPGRADE).map(HeaderValue::as_bytes);
        if !upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case(b"websocket")) {
            return Err(ClientHandshakeError::Upgrade);
        }
        let mut connection = lines(headers, &header::CONNECTION).flat_map(|value| value.split(|&byte| byte == b','));
        if !connection.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade")) {
            return Err(ClientHandshakeError::Connection);
        }
        let mut accept = lines(headers, &header::SEC_WEBSOCKET_ACCEPT);
        if accept.next() != Some(derive_accept_key(self.key.as_bytes()).as_bytes()) || accept.next().is_some() {
            return Err(ClientHandshakeError::Accept);
        }
        Ok(Agreement {
            subprotocol: self.check_subprotocol(headers)?,
            deflate: self.check_extensions(headers, deflaters)?,
        })
    }

    fn check_subprotocol(&self, headers: &Headers) -> Result<Option<String>, ClientHandshakeError> {
        let mut values = lines(headers, &header::SEC_WEBSOCKET_PROTOCOL);
        let Some(chosen) = values.next() else {
            return Ok(None);
        };
        let offered = self.subprotocols.iter().find(|offered| offered.as_bytes() == chosen);
        match (offered, values.next()) {
            (Some(offered), None) => Ok(Some(offered.clone())),
            _ => Err(ClientHandshakeError::Subprotocol),
        }
    }

    fn check_extensions(
        &self,
        headers: &Headers,
        deflaters: &Deflaters,
    ) -> Result<Option<Deflate>, ClientHandshakeError> {
        let mut agreed = Vec::new();
        for value in lines(headers, &header::SEC_WEBSOCKET_EXTENSIONS) {
            extensions::parse(value, &mut agreed).map_err(|_| ClientHandshakeError::Extensions)?;
        }
        match (agreed.as_slice(), &self.deflate) {
            ([], _) => Ok(None),
            ([answer], Some(config)) => match config.confirm(answer, deflaters) {
                Ok(deflate) => Ok(Some(deflate)),
                Err(_) => Err(ClientHandshakeError::Extensions),
            },
            _ => Err(ClientHandshakeError::Extensions),
        }
    }
}

/// The reason why a client rejects the response to its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientHandshakeError {
    /// The status is not 101.
    Status(StatusCode),
    /// `Upgrade` is not websocket.
    Upgrade,
    /// `Connection` does not name upgrade.
    Connection,
    /// `Sec-WebSocket-Accept` does not match the key.
    Accept,
    /// A subprotocol is not a token, or was not offered.
    Subprotocol,
    /// An extension or a parameter of one was not offered, or is not supported.
    Extensions,
}

impl fmt::Display for ClientHandshakeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "the server answered {status} instead of 101"),
            Self::Upgrade => formatter.write_str("the server does not upgrade to websocket"),
            Self::Connection => formatter.write_str("the server's Connection does not name upgrade"),
            Self::Accept => formatter.write_str("Sec-WebSocket-Accept does not belong to the key sent"),
            Self::Subprotocol => formatter.write_str("a subprotocol is not a token, or was not offered"),
            Self::Extensions => formatter.write_str("an extension was not offered like that"),
        }
    }
}

impl core::error::Error for ClientHandshakeError {}

/// The values of a field.
fn lines<'h>(headers: &'h Headers, name: &'h header::HeaderName) -> impl Iterator<Item = &'h [u8]> {
    headers
        .iter()
        .filter(move |(found, _)| *found == name)
        .map(|(_, value)| value.as_bytes())
}
