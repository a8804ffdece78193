//! A certificate for development, made when the server starts and forgotten when it ends.

use std::net::IpAddr;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

use super::certificates::Presented;
use crate::error::{Error, Result};

/// The names of the certificate. A browser on the same machine uses one of them.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Makes a certificate with an ECDSA key for [`NAMES`] and these addresses.
///
/// # Errors
///
/// The system gives no random bytes.
pub(super) fn make(addresses: &[IpAddr], provider: &CryptoProvider) -> Result<Presented> {
    let names = NAMES.iter().map(ToString::to_string);
    let names = names.chain(addresses.iter().map(IpAddr::to_string)).collect::<Vec<_>>();
    let made = KeyPair::generate().and_then(|key| {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "Squall, for development");
        let certificate = params.self_signed(&key)?;
        Ok((certificate, key))
    });
    let (certificate, key) = made.map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let certified = CertifiedKey::from_der(vec![certificate.der().clone()], key, provider);
    Presented::new(certified.map_err(|error| failed(&error))?).map_err(|error| failed(&error))
}

/// Returns the SHA-256 of a certificate as browsers show it: `AB:CD:…`.
pub(super) fn fingerprint(presented: &Presented) -> String {
    let own = presented.certified.cert.first().map(AsRef::as_ref).unwrap_or_default();
    let bytes: Vec<String> = Sha256::digest(own).iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::new(format!(
        "could not make a certificate for --tls-self-signed: {error}; give --tls-cert and --tls-key"
    ))
}
