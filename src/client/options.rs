//! What can be said of a WebSocket that is to be opened, beyond its address.

use std::time::Duration;

use super::error::ConnectError;
use super::opening;
use super::socket::WebSocketClient;
use super::url::Url;
use crate::message::{HeaderName, HeaderValue, Headers};
use crate::websocket::{DeflateConfig, Limits};

/// What holds for a client's WebSocket (the arguments of Tornado's `websocket_connect`).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Subprotocols to offer, best first. None by default.
    pub subprotocols: Vec<String>,
    /// Fields of the request, beside those of the handshake. `Host` may be among them, in the place of the address's.
    pub headers: Headers,
    /// How to compress, if the server can (permessage-deflate, RFC 7692). `None`, the default, never: most messages of live feeds are too small to
    /// gain.
    pub deflate: Option<DeflateConfig>,
    /// Bounds on what comes in, and the intervals of keep-alive pings. The server's defaults.
    pub limits: Limits,
    /// How long it may take to open the WebSocket, from looking the name up to the server's answer. 20 s: Tornado's.
    pub connect_timeout: Duration,
    /// How long the server may take nothing of what it is sent; then the connection is given up. 30 s: as long as Squall's server waits for a
    /// client.
    pub write_stall_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            subprotocols: Vec::new(),
            headers: Headers::new(),
            deflate: None,
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(20),
            write_stall_timeout: Duration::from_secs(30),
        }
    }
}

impl ClientOptions {
    /// Offers a subprotocol, after those offered before (RFC 6455 §1.9).
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Sets a field of the request, such as `Authorization`, `Cookie` or `Origin`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Has messages compressed where the server can.
    #[must_use]
    pub fn deflate(mut self, config: DeflateConfig) -> Self {
        self.deflate = Some(config);
        self
    }

    /// Sets bounds on what comes in, and the intervals of keep-alive pings.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how long it may take to open the WebSocket.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long the server may take nothing of what it is sent.
    #[must_use]
    pub fn write_stall_timeout(mut self, timeout: Duration) -> Self {
        self.write_stall_timeout = timeout;
        self
    }

    /// Opens a WebSocket, as [`connect`](super::connect) does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// As there.
    pub async fn connect(&self, url: &str) -> Result<WebSocketClient, ConnectError> {
        let opened = match Url::parse(url) {
            Ok(url) => opening::open(&url, self).await,
            Err(failure) => Err(failure),
        };
        opened.map_err(|failure| ConnectError::new(url, failure))
    }
}
