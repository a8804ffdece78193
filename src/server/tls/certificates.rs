//! Certificates with their keys: read from PEM files, checked, and chosen by the name that a client asks for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys};
use squall_shards::clock;

use super::names::Names;
use crate::error::{Error, Result};

/// The ending of the file beside a certificate that holds a response of OCSP to be stapled.
const OCSP_ENDING: &str = "ocsp";

/// The files of a certificate, with its chain, and of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// A certificate that can be presented.
#[derive(Debug, Clone)]
pub(super) struct Presented {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) names: Vec<String>,
    /// Whether it is invalid now: expired, or not yet valid.
    pub(super) is_out_of_date: bool,
}

impl CertificateFiles {
    /// Reads both files, and verifies that the key belongs to the certificate.
    ///
    /// # Errors
    ///
    /// A file cannot be read, has no certificate or no key, or they do not belong together.
    pub(super) fn read(&self, provider: &CryptoProvider) -> Result<Presented> {
        let chain = read_certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| {
            unreadable(
                "private key",
                &self.key,
                &error,
                "give a PEM file with an unencrypted key",
            )
        })?;
        let mut certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Error::new(format!(
                "could not use the certificate in {}: the key in {} belongs to another; give the key it was made with",
                self.certificate.display(),
                self.key.display()
            )),
            error => Error::new(format!(
                "could not use the key in {}: {error}; give an ECDSA, Ed25519 or RSA key",
                self.key.display()
            )),
        })?;
        certified.ocsp = std::fs::read(self.certificate.with_extension(OCSP_ENDING)).ok();
        Presented::new(certified).map_err(|error| {
            Error::new(format!(
                "could not use the certificate in {}: {error}; give a certificate for a server",
                self.certificate.display()
            ))
        })
    }
}

impl Presented {
    /// Reads the names and the dates of a certificate.
    pub(super) fn new(certified: CertifiedKey) -> Result<Self, String> {
        let own = certified.cert.first().ok_or("the chain is empty")?;
        let parsed = webpki::EndEntityCert::try_from(own).map_err(|error| error.to_string())?;
        let names = parsed.valid_dns_names().map(str::to_owned).collect();
        let is_out_of_date = is_out_of_date(own);
        Ok(Self {
            certified: Arc::new(certified),
            names,
            is_out_of_date,
        })
    }
}

/// Returns whether a certificate is invalid at this time. Verification looks at the dates before it looks for an issuer.
fn is_out_of_date(certificate: &CertificateDer<'static>) -> bool {
    let mut roots = RootCertStore::empty();
    let now = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let Ok(()) = roots.add(certificate.clone()) else {
        return false;
    };
    let provider = crate::transport::tls::provider::provider();
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let Ok(name) = ServerName::try_from("squall.invalid") else {
        return false;
    };
    let verified = verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::since_unix_epoch(now));
    let Err(rustls::Error::InvalidCertificate(error)) = verified else {
        return false;
    };
    matches!(
        error,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

/// Reads the certificates of a PEM file, in their order.
///
/// # Errors
///
/// The file cannot be read, or has no certificate.
pub(super) fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    const ADVICE: &str = "give a PEM file with a certificate and its chain";
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let chain: Vec<_> = read.map_err(|error| unreadable("certificate", file, &error, ADVICE))?;
    if chain.is_empty() {
        return Err(unreadable("certificate", file, &pem::Error::NoItemsFound, ADVICE));
    }
    Ok(chain)
}

/// Reads the revocation lists of a PEM file.
///
/// # Errors
///
/// The file cannot be read, or has no list.
pub(super) fn read_revocations(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>> {
    const ADVICE: &str = "give a PEM file with an X509 CRL";
    let read = CertificateRevocationListDer::pem_file_iter(file).and_then(Iterator::collect);
    let lists: Vec<_> = read.map_err(|error| unreadable("revocation list", file, &error, ADVICE))?;
    // Without a list no certificate would be revoked.
    if lists.is_empty() {
        return Err(unreadable("revocation list", file, &pem::Error::NoItemsFound, ADVICE));
    }
    Ok(lists)
}

fn unreadable(what: &str, file: &Path, error: &dyn fmt::Display, advice: &str) -> Error {
    Error::new(format!(
        "could not read the {what} in {}: {error}; {advice}",
        file.display()
    ))
}

/// Chooses the certificate of a handshake.
#[derive(Debug)]
pub(super) struct Certificates {
    by_name: Names<Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl Certificates {
    /// Makes the choice among certificates; the first is for every client without a certificate of its name.
    ///
    /// Returns `None` without a certificate.
    pub(super) fn new(presented: &[Presented]) -> Option<Self> {
        let default = Arc::clone(&presented.first()?.certified);
        let mut by_name = Names::new();
        for certificate in presented {
            for name in &certificate.names {
                by_name.add(name, Arc::clone(&certificate.certified));
            }
        }
        Some(Self { by_name, default })
    }

    /// Returns whether a certificate is for this name.
    pub(super) fn have(&self, name: &str) -> bool {
        self.by_name.get(name).is_some()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.by_name.get(name));
        Some(Arc::clone(named.unwrap_or(&self.default)))
    }
}
