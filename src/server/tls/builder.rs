//! What an application asks of TLS: which certificates, for which names, and whether clients have certificates.

use std::path::PathBuf;

use super::certificates::CertificateFiles;

/// The certificates of a server, and its rules for clients, for [`Server::tls`](crate::Server::tls).
///
/// ```no_run
/// use squall::prelude::*;
/// use squall::Tls;
///
/// let tls = Tls::from_pem("/etc/squall/cert.pem", "/etc/squall/key.pem");
/// Server::new(Application::new).tls(tls).listen("https://0.0.0.0:443").run()?;
/// # Ok::<(), squall::Error>(())
/// ```
///
/// Files are read when the server binds, and again at a reload (SIGHUP, or
/// [`BoundServer::reloader`](crate::BoundServer::reloader)).
///
/// Connections speak TLS 1.2 or 1.3, without early data.
#[derive(Debug, Clone)]
#[must_use = "certificates have an effect only as the argument of `Server::tls`"]
pub struct Tls {
    /// The first is for clients that ask for another name.
    pub(super) certificates: Vec<CertificateFiles>,
    pub(super) is_self_signed: bool,
    pub(super) clients: Clients,
    pub(super) strict_sni: bool,
    /// Names with rules of their own.
    pub(super) hosts: Vec<(String, Self)>,
}

/// The certificates of clients (mTLS).
#[derive(Debug, Clone, Default)]
pub(super) struct Clients {
    /// The authorities that issue them; `None` asks clients for no certificate.
    pub(super) authorities: Option<PathBuf>,
    pub(super) are_optional: bool,
    pub(super) revocations: Vec<PathBuf>,
}

impl Tls {
    /// Presents a certificate, from a PEM file with its chain, with the key of another PEM file.
    ///
    /// A response of OCSP in a file beside the certificate, with the ending `.ocsp`, is stapled.
    pub fn from_pem(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::of(Vec::new()).certificate(certificate, key)
    }

    /// Presents a certificate that is made when the server starts, for development.
    ///
    /// It is for `localhost` and the addresses that the server listens on. The log says its fingerprint (SHA-256), which
    /// browsers show beside their warning.
    pub fn self_signed() -> Self {
        Self {
            is_self_signed: true,
            ..Self::of(Vec::new())
        }
    }

    pub(super) fn of(certificates: Vec<CertificateFiles>) -> Self {
        Self {
            certificates,
            is_self_signed: false,
            clients: Clients::default(),
            strict_sni: false,
            hosts: Vec::new(),
        }
    }

    /// Adds a certificate for the names in it, exact or with one wildcard label.
    ///
    /// Of two certificates for a name, the first is presented. A client that asks for a name without a certificate, or
    /// for none, gets the first certificate of all.
    pub fn certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificates.push(CertificateFiles {
            certificate: certificate.into(),
            key: key.into(),
        });
        self
    }

    /// Requires of each client a certificate that an authority in this PEM file has issued (mTLS).
    ///
    /// [`Context::peer_certificates`](crate::Context::peer_certificates) returns it. Such sessions are not resumed,
    /// because a resumed session is not verified again.
    pub fn client_ca(mut self, authorities: impl Into<PathBuf>) -> Self {
        self.clients.authorities = Some(authorities.into());
        self
    }

    /// Sets whether a client without a certificate is served as well; off by default.
    ///
    /// It has an effect with [`client_ca`](Self::client_ca) alone. A certificate of another authority is rejected.
    pub fn optional_client_certificates(mut self, optional: bool) -> Self {
        self.clients.are_optional = optional;
        self
    }

    /// Rejects the certificates of clients that a list in this PEM file revokes.
    pub fn revocations(mut self, lists: impl Into<PathBuf>) -> Self {
        self.clients.revocations.push(lists.into());
        self
    }

    /// Sets whether a client that asks for a name without a certificate is rejected; off by default.
    ///
    /// It then gets the alert `unrecognized_name`. A client that asks for no name is served.
    pub fn strict_sni(mut self, strict: bool) -> Self {
        self.strict_sni = strict;
        self
    }

    /// Gives a name, or `*.` and a domain, certificates and rules for clients of its own.
    ///
    /// No ticket of these sessions resumes another. A request for such a name over a connection for another is answered
    /// 421. So the rules for its clients hold for all of them.
    pub fn host(mut self, name: &str, tls: Self) -> Self {
        self.hosts.push((name.to_owned(), tls));
        self
    }
}
