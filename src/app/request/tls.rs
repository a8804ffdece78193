//! The TLS connection of a request, and the certificates of its client.

use bytes::Bytes;

use crate::app::context::Context;
use crate::message::TlsInfo;

impl Context {
    /// Returns the TLS connection that the request came over; `None` without TLS.
    ///
    /// Behind a proxy, it is the connection of the proxy.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_deref()
    }

    /// Returns the certificates of the client, its own first, each as DER; empty without one.
    ///
    /// The server has verified them: an authority of `client_ca` has issued the first.
    #[must_use]
    pub fn peer_certificates(&self) -> &[Bytes] {
        self.tls()
            .map(|tls| tls.peer_certificates.as_slice())
            .unwrap_or_default()
    }
}
