//! The step from a plain connection to a secure one, which a build without TLS refuses.

use super::error::TlsError;
use crate::transport::socket::Socket;

/// The protocols that a connection offers (ALPN, RFC 7301), the preferred one first.
pub(in crate::client) type Protocols = &'static [&'static [u8]];

/// How the connections of a client become secure: by settings of its own, else by those of the process.
#[derive(Debug, Clone, Default)]
pub(in crate::client) struct Security {
    #[cfg(feature = "rustls")]
    own: Option<super::settings::ClientTls>,
}

#[cfg(feature = "rustls")]
mod with_tls {
    use std::sync::Arc;

    use rustls::ClientConfig;
    use rustls::pki_types::ServerName;

    use super::{Protocols, Security, Socket, TlsError};
    use crate::client::tls::explanation::explain;
    use crate::client::tls::settings::ClientTls;
    use crate::memory;
    use crate::transport::tls::handshake::{HandshakeError, handshake};
    use crate::transport::tls::session::Session;

    /// What a handshake allocates without a check, rounded up: 32 KiB. 4 KiB of that stay with the connection.
    const HANDSHAKE_BYTES: usize = 32 * 1024;

    impl Security {
        pub(in crate::client) fn of(tls: ClientTls) -> Self {
            Self { own: Some(tls) }
        }

        /// Prepares the handshake with a host, before its connection is made.
        ///
        /// # Errors
        ///
        /// The settings cannot be used.
        pub(in crate::client) async fn prepare(&self, host: &str, protocols: Protocols) -> Result<Handshake, TlsError> {
            let tls = self.own.clone().unwrap_or_else(ClientTls::of_process);
            Ok(Handshake {
                name: tls.name_of(host)?,
                config: tls.config().await?,
                protocols,
            })
        }
    }

    /// A handshake that has not begun.
    pub(in crate::client) struct Handshake {
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
        protocols: Protocols,
    }

    impl Handshake {
        /// Makes a connection secure. Dropping the future closes it.
        ///
        /// # Errors
        ///
        /// The handshake has failed, or the certificate was rejected.
        pub(in crate::client) async fn secure(self, socket: Socket) -> Result<Socket, TlsError> {
            let Socket::Plain(stream) = socket else {
                return Ok(socket);
            };
            let Self {
                name,
                config,
                protocols,
            } = self;
            let failed = |error| explain(&name.to_str(), error);
            memory::reserve(HANDSHAKE_BYTES).map_err(|error| failed(HandshakeError::Broken(error.into())))?;
            let session = Session::client(config, name.clone(), protocols);
            let session = session.map_err(|error| failed(HandshakeError::Session(error)))?;
            // Boxed, so that the state of a handshake stays out of every fetch's memory.
            let shaken = Box::pin(handshake(stream, session, Vec::new(), async || ())).await;
            shaken.map(Socket::from).map_err(failed)
        }
    }
}

#[cfg(not(feature = "rustls"))]
mod without_tls {
    use super::{Protocols, Security, Socket, TlsError};

    impl Security {
        /// Refuses the handshake: this build has no TLS.
        pub(in crate::client) async fn prepare(&self, _: &str, _: Protocols) -> Result<Handshake, TlsError> {
            Err(TlsError::missing())
        }
    }

    /// A handshake, which this build never begins.
    pub(in crate::client) enum Handshake {}

    impl Handshake {
        pub(in crate::client) async fn secure(self, _: Socket) -> Result<Socket, TlsError> {
            match self {}
        }
    }
}
