//! The secrets that sign cookies, each with a version (Tornado's `cookie_secret` and `key_version`).
//!
//! One version signs, and all of them verify. So a secret is replaced without ending any session. Add the new one, sign
//! with it, and remove the old one once its last cookie has expired.
//!
//! A secret is absorbed into its HMAC once, at the start, and not stored itself.

use core::fmt;

use hmac::{Hmac, KeyInit};
use sha1::Sha1;
use sha2::Sha256;

use crate::error::{Error, Result};

/// The fewest bytes of a secret that draw no warning: 32, as many as its HMAC has.
const SECRET_BYTES: usize = 32;

/// The secrets that sign cookies: see [`Application::cookie_secret`](crate::Application::cookie_secret).
///
/// ```
/// use squall::security::CookieSecret;
///
/// // Version 7 signs. Cookies signed with version 1 stay valid.
/// let secret = CookieSecret::versions(7, [(1, "the secret of last year"), (7, "the secret of this year")]);
/// ```
#[must_use = "a secret signs nothing until it is given to an application"]
pub struct CookieSecret {
    keys: Vec<Key>,
    /// The version that signs.
    current: u32,
    pub(super) reads_version_1: bool,
}

/// One secret, ready to sign.
pub(super) struct Key {
    pub(super) version: u32,
    pub(super) sha256: Hmac<Sha256>,
    /// Verifies values of Tornado's version 1.
    pub(super) sha1: Hmac<Sha1>,
}

impl CookieSecret {
    /// Makes the only secret, whose version is 0.
    ///
    /// Use at least 32 random bytes, such as the output of `openssl rand -base64 32`.
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        Self::versions(0, [(0, secret)])
    }

    /// Makes several secrets, of which `current` signs (Tornado's `key_version`).
    pub fn versions<S: AsRef<[u8]>>(current: u32, secrets: impl IntoIterator<Item = (u32, S)>) -> Self {
        let keys = secrets.into_iter().filter_map(|(version, secret)| {
            let secret = secret.as_ref();
            if secret.len() < SECRET_BYTES {
                tracing::warn!("cookie secret {version} has {} bytes; use 32 random ones", secret.len());
            }
            Key::new(version, secret)
        });
        Self {
            keys: keys.collect(),
            current,
            reads_version_1: false,
        }
    }

    /// Accepts values of Tornado's version 1 too (its `min_version=1`).
    ///
    /// They are signed with SHA-1, and their time is not set apart from their value. Set it while old cookies are around.
    /// With several secrets, that of `current` verifies them.
    pub fn reads_version_1(mut self) -> Self {
        self.reads_version_1 = true;
        self
    }

    /// Returns the mistake in these secrets, as the rest of a sentence.
    pub(in crate::app) fn problem(&self) -> Option<String> {
        match self.current() {
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        }
    }

    /// The secret that signs.
    ///
    /// # Errors
    ///
    /// The secret of that version is missing or empty.
    pub(super) fn current(&self) -> Result<&Key> {
        self.of_version(self.current).ok_or_else(|| {
            let version = self.current;
            Error::new(format!(
                "could not sign: the cookie secret of version {version} is missing or empty; give one of at least 32 bytes"
            ))
        })
    }

    pub(super) fn of_version(&self, version: u32) -> Option<&Key> {
        self.keys.iter().find(|key| key.version == version)
    }
}

impl Key {
    /// Makes a key; `None` for an empty secret.
    fn new(version: u32, secret: &[u8]) -> Option<Self> {
        if secret.is_empty() {
            return None;
        }
        Some(Self {
            version,
            sha256: Hmac::new_from_slice(secret).ok()?,
            sha1: Hmac::new_from_slice(secret).ok()?,
        })
    }
}

impl From<&str> for CookieSecret {
    fn from(secret: &str) -> Self {
        Self::new(secret)
    }
}

impl From<String> for CookieSecret {
    fn from(secret: String) -> Self {
        Self::new(secret)
    }
}

impl fmt::Debug for CookieSecret {
    /// Shows the versions and no secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: Vec<u32> = self.keys.iter().map(|key| key.version).collect();
        formatter
            .debug_struct("CookieSecret")
            .field("versions", &versions)
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}
