//! A connection that was accepted, before its protocol begins: what it begins with, and what is known of it.

use std::net::SocketAddr;

use squall_shards::Stream;

/// The response to a connection for which the process has no descriptor or no memory.
const OVERLOAD_RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 35\r\nConnection: close\r\nRetry-After: 1\r\n\r\n503: server overloaded, retry later";

/// What the connections of a listener begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// HTTP.
    Plain,
    /// A TLS handshake.
    #[cfg(feature = "rustls")]
    Tls,
}

impl Entry {
    /// Returns the response to a client that is turned away; one that expects TLS could not read it.
    pub(super) const fn overload_response(self) -> &'static [u8] {
        match self {
            Self::Plain => OVERLOAD_RESPONSE,
            #[cfg(feature = "rustls")]
            Self::Tls => b"",
        }
    }
}

/// A connection, and what is known of it before its protocol begins.
pub(super) struct Accepted {
    pub(super) stream: Stream,
    /// Bytes that have come already.
    pub(super) received: Vec<u8>,
    /// The client that a proxy has named.
    pub(super) client: Option<SocketAddr>,
}

impl From<Stream> for Accepted {
    fn from(stream: Stream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            client: None,
        }
    }
}
