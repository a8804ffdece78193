//! The settings of a client's TLS, as an application writes them.
//!
//! The configuration is made at the first connection, because the roots of the system are files. All shards share it, and
//! with it the sessions that can be resumed.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use squall_shards::spawn_blocking;

use super::error::TlsError;
use super::rules::Rules;

/// The settings of clients without any of their own.
static OF_PROCESS: OnceLock<ClientTls> = OnceLock::new();

/// Which servers a client trusts, and how it identifies itself to them.
///
/// It is for `ClientBuilder::tls` and for [`ClientOptions::tls`](crate::ClientOptions::tls).
///
/// Without any, a client trusts the roots of the system: what `SSL_CERT_FILE` and `SSL_CERT_DIR` name, else those of the
/// distribution. Clones, and clients made from them, resume the sessions of one another on every shard.
///
/// ```no_run
/// use squall::ClientOptions;
/// use squall::client::ClientTls;
///
/// # async fn example() -> squall::Result {
/// let authority = std::fs::read("/etc/squall/authority.pem")?;
/// let tls = ClientTls::new().without_system_roots().root(authority)?;
/// let live = ClientOptions::default().tls(tls).connect("wss://prices.internal/live").await?;
/// # Ok(())
/// # }
/// ```
///
/// Connections speak TLS 1.2 or 1.3, without early data.
#[derive(Clone)]
#[must_use = "these settings do nothing until a client is built with them"]
pub struct ClientTls {
    shared: Arc<Shared>,
}

/// What clones share.
struct Shared {
    rules: Rules,
    /// The name to ask for in place of the URL's.
    server_name: Option<ServerName<'static>>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl ClientTls {
    /// Trusts the roots of the system.
    pub fn new() -> Self {
        Self::of(Rules::new(), None)
    }

    /// Trusts the certificates of authorities in this text of PEM as well.
    ///
    /// # Errors
    ///
    /// The text has no certificate, or a malformed one.
    pub fn root(self, pem: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let mut rules = self.shared.rules.clone();
        rules.trust(pem.as_ref())?;
        Ok(self.with(rules))
    }

    /// Trusts none of the roots of the system: only those named with [`root`](Self::root).
    pub fn without_system_roots(self) -> Self {
        let rules = Rules {
            trusts_system: false,
            ..self.shared.rules.clone()
        };
        self.with(rules)
    }

    /// Presents a certificate to servers that ask for one (mTLS): its chain, and its unencrypted key, in PEM.
    ///
    /// # Errors
    ///
    /// A text has no certificate or no key, or they do not belong together.
    pub fn identity(self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let mut rules = self.shared.rules.clone();
        rules.identify(chain.as_ref(), key.as_ref())?;
        Ok(self.with(rules))
    }

    /// Asks for the certificate of this name or address, in place of the URL's, and verifies it for that.
    ///
    /// # Errors
    ///
    /// The text is neither a name that a certificate can have, nor an address.
    pub fn server_name(self, name: &str) -> Result<Self, TlsError> {
        let name = server_name(name)?;
        Ok(Self::of(self.shared.rules.clone(), Some(name)))
    }

    /// Accepts any certificate, of any server: for tests only.
    ///
    /// A machine on the way can then answer in the server's place, and read passwords and cookies.
    pub fn dangerously_accept_any_certificate(self) -> Self {
        let rules = Rules {
            accepts_any: true,
            ..self.shared.rules.clone()
        };
        self.with(rules)
    }

    fn with(self, rules: Rules) -> Self {
        Self::of(rules, self.shared.server_name.clone())
    }

    fn of(rules: Rules, server_name: Option<ServerName<'static>>) -> Self {
        Self {
            shared: Arc::new(Shared {
                rules,
                server_name,
                config: OnceLock::new(),
            }),
        }
    }

    /// Returns the settings of clients without any of their own. The process has them once, and with them its sessions.
    pub(super) fn of_process() -> Self {
        OF_PROCESS.get_or_init(Self::new).clone()
    }

    /// Returns the name that the certificate of a host must have.
    pub(super) fn name_of(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        match &self.shared.server_name {
            Some(name) => Ok(name.clone()),
            None => server_name(host),
        }
    }

    /// Returns the configuration. The pool for blocking work makes it the first time.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(known) = self.shared.config.get() {
            return Ok(Arc::clone(known));
        }
        let rules = self.shared.rules.clone();
        let made = spawn_blocking(move || rules.config()).await;
        let made = made.map_err(|error| TlsError::settings(format!("no thread can read the roots: {error}")))??;
        // Another shard may have been first.
        Ok(Arc::clone(self.shared.config.get_or_init(|| Arc::new(made))))
    }
}

/// Reads a name, or an address without brackets. A dot at its end belongs to no certificate.
fn server_name(text: &str) -> Result<ServerName<'static>, TlsError> {
    let name = text.strip_suffix('.').unwrap_or(text);
    ServerName::try_from(name.to_owned()).map_err(|_| {
        TlsError::settings(format!(
            "no certificate can have the name {}; check the URL",
            text.escape_default()
        ))
    })
}

impl Default for ClientTls {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ClientTls {
    /// Shows no key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules {
            trusts_system,
            roots,
            identity,
            accepts_any,
        } = &self.shared.rules;
        formatter
            .debug_struct("ClientTls")
            .field("trusts_system", trusts_system)
            .field("roots", &roots.len())
            .field("has_identity", &identity.is_some())
            .field("accepts_any", accepts_any)
            .field("server_name", &self.shared.server_name)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::*;

    /// A section of PEM (RFC 7468).
    fn pem(label: &str, der: &[u8]) -> String {
        let text = BASE64.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    #[test]
    fn settings_that_cannot_be_used_are_named() {
        let no_certificate = &pem("CERTIFICATE", &[0; 3]);
        for (failed, said) in [
            (ClientTls::new().root("no PEM"), "the text has no certificate"),
            (ClientTls::new().root("-----BEGIN CERTIFICATE-----\n"), "malformed"),
            (ClientTls::new().root(no_certificate), "a root cannot be used"),
            (ClientTls::new().identity("", ""), "the text has no certificate"),
            (
                ClientTls::new().identity(no_certificate, ""),
                "the private key is malformed",
            ),
            (
                ClientTls::new().server_name("a b"),
                "no certificate can have the name a b",
            ),
        ] {
            let error = failed.unwrap_err().to_string();
            assert!(
                error.starts_with("could not prepare the TLS of a client: ") && error.contains(said),
                "{error}"
            );
        }
        let rules = Rules {
            trusts_system: false,
            ..Rules::new()
        };
        let error = rules.config().unwrap_err().to_string();
        assert!(error.contains("no root is trusted; name one"), "{error}");
    }

    #[test]
    fn a_certificate_and_the_key_of_another_are_refused() {
        let [one, other] = ["a", "b"].map(|name| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            (
                pem("CERTIFICATE", made.cert.der()),
                pem("PRIVATE KEY", &made.signing_key.serialize_der()),
            )
        });
        let own = ClientTls::new().identity(&one.0, &one.1);
        assert!(format!("{:?}", own.unwrap()).contains("has_identity: true"));
        let mixed = ClientTls::new().identity(&one.0, &other.1);
        let error = mixed.unwrap_err().to_string();
        assert!(error.contains("give the key it was made with"), "{error}");
    }

    #[test]
    fn the_name_is_that_of_the_url_without_its_last_dot_or_the_one_that_was_set() {
        let name = |tls: &ClientTls, host: &str| tls.name_of(host).unwrap().to_str().into_owned();
        let of_url = ClientTls::new();
        assert_eq!(name(&of_url, "a.example."), "a.example");
        assert_eq!(name(&of_url, "::1"), "::1");
        let set = ClientTls::new()
            .server_name("b.example")
            .unwrap()
            .without_system_roots();
        assert_eq!(name(&set, "127.0.0.1"), "b.example");
    }
}
