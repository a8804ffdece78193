//! The name that a client asks for (SNI, RFC 6066 §3), read from its hello before a policy is chosen.
//!
//! rustls parses it. A hello that it cannot parse chooses the default policy, whose session then sends the alert.

use rustls::server::Acceptor;

/// Reads a hello as it arrives.
pub(super) struct HelloReader {
    acceptor: Acceptor,
}

/// What is known of a hello.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hello {
    Incomplete,
    /// The hello is complete, or malformed, which has no name.
    Named(Option<String>),
}

impl HelloReader {
    pub(super) fn new() -> Self {
        Self {
            acceptor: Acceptor::default(),
        }
    }

    /// Reads the next bytes.
    pub(super) fn receive(&mut self, mut bytes: &[u8]) -> Hello {
        loop {
            // Fails when rustls holds as much as it takes.
            let is_read = self.acceptor.read_tls(&mut bytes).is_ok_and(|count| count > 0);
            match self.acceptor.accept() {
                Ok(Some(accepted)) => return Hello::Named(accepted.client_hello().server_name().map(str::to_owned)),
                Ok(None) if is_read && !bytes.is_empty() => {}
                Ok(None) if is_read => return Hello::Incomplete,
                Ok(None) | Err(_) => return Hello::Named(None),
            }
        }
    }
}
