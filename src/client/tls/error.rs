//! The error of a secure connection: what is wrong, and what to do.

use std::fmt;

/// The error of a secure connection: the certificate, the handshake, or the client's own settings.
#[derive(Debug)]
pub struct TlsError {
    said: Box<str>,
    is_certificate: bool,
}

impl TlsError {
    /// This build has no TLS.
    #[cfg(not(feature = "rustls"))]
    pub(super) fn missing() -> Self {
        Self {
            said: "https and wss need TLS, which this build lacks; build it with the feature `tls` of squall".into(),
            is_certificate: false,
        }
    }

    /// The settings of the client cannot be used.
    #[cfg(feature = "rustls")]
    pub(super) fn settings(what: impl fmt::Display) -> Self {
        Self {
            said: format!("could not prepare the TLS of a client: {what}").into(),
            is_certificate: false,
        }
    }

    /// The handshake has failed.
    #[cfg(feature = "rustls")]
    pub(super) fn handshake(said: String) -> Self {
        Self {
            said: said.into(),
            is_certificate: false,
        }
    }

    /// The certificate of the server was rejected.
    #[cfg(feature = "rustls")]
    pub(super) fn certificate(said: String) -> Self {
        Self {
            said: said.into(),
            is_certificate: true,
        }
    }

    /// Returns whether the client rejected the server's certificate.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        self.is_certificate
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.said)
    }
}

impl std::error::Error for TlsError {}
