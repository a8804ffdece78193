//! What a client trusts and what it shows of itself, and rustls' configuration of it.
//!
//! The roots are those of the system. Squall contains none: a root that the system has withdrawn must not stay trusted.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

use super::error::TlsError;
use super::unverified::Unverified;
use crate::transport::tls::provider::provider;

/// The most servers whose sessions are kept to be resumed. 256: rustls' default; a session has about 1 KiB.
const SERVERS_RESUMED_MAX: usize = 256;

/// What a configuration is made of.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) trusts_system: bool,
    /// Roots beside those of the system.
    pub(super) roots: RootCertStore,
    /// The client's own certificate and its key.
    pub(super) identity: Option<Arc<CertifiedKey>>,
    pub(super) accepts_any: bool,
}

impl Rules {
    /// Trusts the roots of the system.
    pub(super) fn new() -> Self {
        Self {
            trusts_system: true,
            roots: RootCertStore::empty(),
            identity: None,
            accepts_any: false,
        }
    }

    /// Trusts the certificates in a text of PEM.
    ///
    /// # Errors
    ///
    /// The text has no certificate, or a malformed one.
    pub(super) fn trust(&mut self, pem: &[u8]) -> Result<(), TlsError> {
        for certificate in certificates(pem)? {
            let added = self.roots.add(certificate);
            added.map_err(|error| TlsError::settings(format!("a root cannot be used: {error}; give another")))?;
        }
        Ok(())
    }

    /// Shows a certificate, with its chain, to servers that ask for one.
    ///
    /// # Errors
    ///
    /// A text has no certificate or no key, or they do not belong together.
    pub(super) fn identify(&mut self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            TlsError::settings(format!(
                "the private key is malformed: {error}; give an unencrypted key in PEM"
            ))
        })?;
        let identity = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
            TlsError::settings(format!(
                "the client's certificate cannot be used: {error}; give the key it was made with"
            ))
        })?;
        self.identity = Some(Arc::new(identity));
        Ok(())
    }

    /// Makes the configuration. It reads the roots of the system, which blocks.
    ///
    /// # Errors
    ///
    /// No root is trusted.
    pub(super) fn config(&self) -> Result<ClientConfig, TlsError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::settings(format!("{error}; check the features of squall")))?;
        let builder = match self.accepts_any {
            true => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider))),
            false => builder.with_root_certificates(self.trusted()?),
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(identity)))),
        };
        config.resumption = Resumption::in_memory_sessions(SERVERS_RESUMED_MAX);
        Ok(config)
    }

    /// Collects the trusted roots.
    fn trusted(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = self.roots.clone();
        let mut problems = String::new();
        if self.trusts_system {
            let system = rustls_native_certs::load_native_certs();
            // A system may have a root that rustls cannot use; the others count.
            roots.add_parsable_certificates(system.certs);
            problems = system.errors.iter().map(|error| format!(" ({error})")).collect();
        }
        match roots.is_empty() {
            true if self.trusts_system => Err(TlsError::settings(format!(
                "the system has no roots{problems}; install ca-certificates, or name one with ClientTls::root"
            ))),
            true => Err(TlsError::settings("no root is trusted; name one with ClientTls::root")),
            false => Ok(roots),
        }
    }
}

/// Reads the certificates of a text.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| TlsError::settings(format!("a certificate is malformed: {error}; give PEM")))?;
    match all.is_empty() {
        true => Err(TlsError::settings("the text has no certificate; give PEM")),
        false => Ok(all),
    }
}
