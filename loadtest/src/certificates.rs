//! The certificates of contenders that speak TLS: one with an ECDSA key and one with an RSA key, the same for all.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};

use crate::tls::SERVER_NAME;

/// The names of the files, a certificate and its key each.
const KINDS: [(&str, &SignatureAlgorithm); 2] = [("ecdsa", &PKCS_ECDSA_P256_SHA256), ("rsa", &PKCS_RSA_SHA256)];

/// A certificate and its key, as PEM.
#[derive(Debug)]
struct Made {
    certificate: String,
    key: String,
}

/// Writes `ecdsa.pem`, `ecdsa.key`, `rsa.pem` and `rsa.key`. A key of RSA takes a tenth of a second, so the process
/// makes them once.
///
/// # Errors
///
/// The certificates cannot be made, or the folder cannot be written.
pub(crate) fn write(folder: &Path) -> Result<()> {
    static MADE: OnceLock<Result<[Made; 2], String>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let [ecdsa, rsa] = KINDS.map(|(_, algorithm)| make(algorithm).map_err(|error| error.to_string()));
        Ok([ecdsa?, rsa?])
    });
    let made = made
        .as_ref()
        .map_err(|error| anyhow!("could not make a certificate: {error}"))?;
    for ((name, _), Made { certificate, key }) in KINDS.iter().zip(made) {
        for (file, text) in [(format!("{name}.pem"), certificate), (format!("{name}.key"), key)] {
            std::fs::write(folder.join(&file), text).with_context(|| format!("could not write {file}"))?;
        }
    }
    Ok(())
}

fn make(algorithm: &'static SignatureAlgorithm) -> Result<Made> {
    let key = KeyPair::generate_for(algorithm)?;
    let certificate = CertificateParams::new([SERVER_NAME.to_owned()])?.self_signed(&key)?;
    Ok(Made {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}
