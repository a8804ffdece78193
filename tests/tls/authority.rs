//! Certificates of a test: an authority of its own, and what it issues, as files in a folder that ends with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, PublicKeyData as _, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use squall::Tls;

/// An authority, and the folder of its files.
pub(crate) struct Authority {
    folder: PathBuf,
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) private: PrivateKeyDer<'static>,
    /// The public key with its algorithm, in DER.
    pub(crate) public: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("squall-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Its own name: that of the certificates it issues is rcgen's.
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.join("authority.pem"), certificate.pem()).unwrap();
        Self {
            folder,
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    /// The file of the authority's own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The roots that a client of this authority trusts.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }

    /// Issues a certificate for names or addresses, the first of which names the files.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_as(names[0], names, |_| ())
    }

    /// Issues a certificate that has expired.
    pub(crate) fn issue_expired(&self, name: &str) -> Issued {
        self.issue_as(name, &[name], |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    /// Issues a certificate with a serial number, for a list that revokes it.
    pub(crate) fn issue_numbered(&self, name: &str, serial: u64) -> Issued {
        self.issue_as(name, &[name], |params| {
            params.serial_number = Some(SerialNumber::from(serial));
        })
    }

    /// Writes the list of the certificates that the authority has revoked, by their serial numbers.
    pub(crate) fn revoke(&self, serials: &[u64]) -> PathBuf {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(serials.len() as u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let file = self.folder.join("revoked.pem");
        fs::write(&file, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        file
    }

    /// Issues a certificate into files of this name.
    pub(crate) fn issue_as(&self, file: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let issued = params.signed_by(&key, &self.issuer).unwrap();
        let file = file.replace('*', "any");
        let (certificate_file, key_file) = (
            self.folder.join(format!("{file}.pem")),
            self.folder.join(format!("{file}.key")),
        );
        fs::write(&certificate_file, issued.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        Issued {
            certificate: certificate_file,
            key: key_file,
            chain: vec![issued.der().clone()],
            private: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            public: key.subject_public_key_info(),
        }
    }
}

impl Issued {
    pub(crate) fn tls(&self) -> Tls {
        Tls::from_pem(&self.certificate, &self.key)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}
