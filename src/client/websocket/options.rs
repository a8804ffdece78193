//! Options of a client's WebSocket.

use std::time::Duration;

use crate::client::tls::security::Security;
#[cfg(feature = "rustls")]
use crate::client::tls::settings::ClientTls;
use crate::message::{HeaderName, HeaderValue, Headers};
use crate::websocket::{DeflateConfig, Limits};

/// Options of a client's WebSocket (the arguments of Tornado's `websocket_connect`).
#[derive(Debug, Clone)]
#[must_use = "options do nothing until `connect` is called"]
pub struct ClientOptions {
    /// In order of preference.
    pub(super) subprotocols: Vec<String>,
    pub(super) headers: Headers,
    pub(super) deflate: Option<DeflateConfig>,
    pub(super) limits: Limits,
    pub(super) connect_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) security: Security,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            subprotocols: Vec::new(),
            headers: Headers::new(),
            deflate: None,
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(30),
            security: Security::default(),
        }
    }
}

impl ClientOptions {
    /// Offers a subprotocol, after those offered before (RFC 6455 §1.9).
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Sets a field of the request, such as `Authorization`, `Cookie` or `Origin`.
    ///
    /// `Host` replaces the URL's.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Enables compression for servers that support it (permessage-deflate, RFC 7692).
    ///
    /// Off by default: most messages of live feeds are too small to gain.
    pub fn deflate(mut self, config: DeflateConfig) -> Self {
        self.deflate = Some(config);
        self
    }

    /// Sets limits on what the server sends, and the keep-alive intervals.
    ///
    /// The defaults are a server's.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the longest time to open the WebSocket, from the name lookup to the server's response.
    ///
    /// 20 s: Tornado's.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Sets the longest time in which the server takes no byte of sent data; then the connection is aborted.
    ///
    /// 30 s: as Squall's server allows a client.
    pub fn write_timeout(mut self, write_timeout: Duration) -> Self {
        self.write_timeout = write_timeout;
        self
    }

    /// Sets which servers are trusted for `wss`, and how the client identifies itself to them.
    ///
    /// Without it, the roots of the system are trusted.
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.security = Security::of(tls);
        self
    }
}
