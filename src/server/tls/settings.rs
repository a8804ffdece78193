//! The flags of TLS, which exist in every build: without the feature, a start with one says how to build it.

use std::path::PathBuf;

use crate::settings::{Kind, Switch, settings};

settings! {
    /// The certificates of a server, as flags give them. In code, [`Server::tls`](crate::Server::tls) has more.
    #[derive(Debug, Clone)]
    pub(in crate::server) struct TlsSettings {
        /// Presents the certificates in these PEM files, each with its chain, separated by commas.
        ///
        /// A client gets the one for the name it asks for, or else the first.
        [Files] tls_cert: Vec<PathBuf>,
        /// Uses the private keys in these PEM files, in the order of the certificates.
        [Files] tls_key: Vec<PathBuf>,
        /// Requires of each client a certificate that an authority in this PEM file has issued.
        [File] tls_client_ca: PathBuf,
        /// Rejects the certificates of clients that a list in these PEM files revokes, separated by commas.
        [Files] tls_client_crl: Vec<PathBuf>,
        /// Rejects a client that asks for a name without a certificate, in place of presenting the first one.
        [Switch] strict_sni: bool = false,
        /// Presents a certificate made at the start, for development, and logs its fingerprint.
        [Switch] tls_self_signed: bool = false,
    }
}

/// The path of a file.
enum File {}

impl Kind<PathBuf> for File {
    const VALUE_NAME: Option<&'static str> = Some("FILE");

    fn read(text: &str) -> Result<PathBuf, String> {
        Ok(text.into())
    }
}

/// Paths of files with commas between them.
enum Files {}

impl Kind<Vec<PathBuf>> for Files {
    const VALUE_NAME: Option<&'static str> = Some("FILES");

    fn read(text: &str) -> Result<Vec<PathBuf>, String> {
        Ok(text.split(',').map(|path| path.trim().into()).collect())
    }

    fn flaw(value: &Vec<PathBuf>) -> Option<String> {
        let has_empty = value.iter().any(|path| path.as_os_str().is_empty());
        has_empty.then(|| "must be paths of files with commas between them".to_owned())
    }
}

impl TlsSettings {
    /// Returns whether a flag asks for TLS.
    pub(in crate::server) fn are_given(&self) -> bool {
        self.tls_cert.is_some()
            || self.tls_key.is_some()
            || self.tls_client_ca.is_some()
            || self.tls_client_crl.is_some()
            || self.tls_self_signed
            || self.strict_sni
    }

    /// Returns what is wrong with the flags together.
    pub(in crate::server) fn conflict(&self) -> Option<&'static str> {
        let count = |files: &Option<Vec<PathBuf>>| files.as_ref().map_or(0, Vec::len);
        if !cfg!(feature = "rustls") && self.are_given() {
            Some(NEEDS_FEATURE)
        } else if count(&self.tls_cert) != count(&self.tls_key) {
            Some("tls_cert (--tls-cert) and tls_key (--tls-key) must name as many files: a key for each certificate")
        } else if self.tls_self_signed && self.tls_cert.is_some() {
            Some("tls_self_signed (--tls-self-signed) must stand alone: --tls-cert gives another certificate")
        } else if self.tls_client_ca.is_some() && self.tls_cert.is_none() && !self.tls_self_signed {
            Some("tls_client_ca (--tls-client-ca) needs a certificate of the server: add --tls-cert and --tls-key")
        } else if self.tls_client_crl.is_some() && self.tls_client_ca.is_none() {
            Some("tls_client_crl (--tls-client-crl) needs the authority of its lists: add --tls-client-ca")
        } else if self.strict_sni && self.tls_cert.is_none() && !self.tls_self_signed {
            Some("strict_sni (--strict-sni) needs certificates of the server: add --tls-cert and --tls-key")
        } else {
            None
        }
    }
}

/// What to do about a program without TLS.
pub(in crate::server) const NEEDS_FEATURE: &str = "this program was built without TLS; build it with the feature `tls` \
    of squall, or `tls-ring`: cargo run --features tls";

#[cfg(feature = "rustls")]
impl TlsSettings {
    /// Returns what the flags ask for; `None` without a certificate.
    pub(in crate::server) fn tls(&self) -> Option<super::builder::Tls> {
        use super::builder::Tls;
        use super::certificates::CertificateFiles;
        let mut tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificates), Some(keys)) => {
                let files = certificates
                    .iter()
                    .zip(keys)
                    .map(|(certificate, key)| CertificateFiles {
                        certificate: certificate.clone(),
                        key: key.clone(),
                    });
                Tls::of(files.collect())
            }
            _ if self.tls_self_signed => Tls::self_signed(),
            _ => return None,
        };
        if let Some(authorities) = &self.tls_client_ca {
            tls = tls.client_ca(authorities);
        }
        for lists in self.tls_client_crl.iter().flatten() {
            tls = tls.revocations(lists);
        }
        Some(tls.strict_sni(self.strict_sni))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict(change: impl FnOnce(TlsSettings) -> TlsSettings) -> Option<&'static str> {
        change(TlsSettings::default()).conflict()
    }

    #[test]
    fn without_flags_nothing_conflicts() {
        assert_eq!(conflict(|settings| settings), None);
    }

    #[cfg(not(feature = "rustls"))]
    #[test]
    fn a_build_without_tls_says_how_to_get_it() {
        for given in [
            conflict(|settings| settings.tls_self_signed(true)),
            conflict(|settings| settings.tls_cert(vec!["a".into()]).tls_key(vec!["b".into()])),
            conflict(|settings| settings.tls_client_ca("a".into())),
        ] {
            assert!(given.unwrap().contains("--features tls"));
        }
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn a_certificate_needs_its_key() {
        let files = |count: usize| vec![PathBuf::from("a"); count];
        assert_eq!(conflict(|settings| settings.tls_cert(files(2)).tls_key(files(2))), None);
        assert_eq!(
            conflict(|settings| settings.tls_self_signed(true).tls_client_ca("a".into())),
            None
        );
        for given in [
            conflict(|settings| settings.tls_cert(files(2)).tls_key(files(1))),
            conflict(|settings| settings.tls_key(files(1))),
            conflict(|settings| settings.tls_self_signed(true).tls_cert(files(1)).tls_key(files(1))),
            conflict(|settings| settings.tls_client_ca("a".into())),
            conflict(|settings| settings.tls_cert(files(1)).tls_key(files(1)).tls_client_crl(files(1))),
            conflict(|settings| settings.strict_sni(true)),
        ] {
            given.unwrap();
        }
    }
}
