//! Signed values, byte for byte as Tornado makes them.
//!
//! ```text
//! version 2    "2|" len ":" key-version "|" len ":" seconds "|" len ":" name "|" len ":" base64 "|" HMAC-SHA256
//! version 1    base64 "|" seconds "|" HMAC-SHA1( name base64 seconds )
//! ```
//!
//! A length counts bytes. The HMAC of version 2, in hexadecimal, covers everything before it. That of version 1 covers no
//! separator, so digits could move between value and time. Version 1 therefore refuses times that begin with 0 or lie far
//! ahead, and is read only on request.
//!
//! Invariant: a value that verifies under a name was signed under that name with one of the secrets, at its time.

use std::time::{Duration, SystemTime};

use data_encoding::{BASE64, HEXLOWER};
use hmac::Mac;

use super::cookie_secret::CookieSecret;
use crate::error::Result;
use crate::message::parse_digits;

/// How far ahead of the clock the time of a value of version 1 may lie: 31 days, as in Tornado.
const AHEAD_MAX: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// What a signed value holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The value that was signed.
    pub value: Vec<u8>,
    /// The version of the secret that signed it.
    pub key_version: u32,
}

/// The fields of a signed value of version 2.
struct Fields<'t> {
    key_version: u32,
    seconds: u64,
    name: &'t str,
    base64: &'t str,
    /// Everything that the signature covers.
    covered: &'t str,
    signature: &'t str,
}

impl CookieSecret {
    /// Signs a value under a name (Tornado's `create_signed_value`).
    ///
    /// The value is readable for everyone. It verifies under the same name only, so a value of one cookie does not serve
    /// as another.
    ///
    /// ```
    /// use squall::security::CookieSecret;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let secret = CookieSecret::new("7b2cVw4Hf0aYqT9dMZ3xLk8sPjRe6uNi");
    /// let now = SystemTime::now();
    /// let signed = secret.sign("invitation", b"ada", now)?;
    /// let read = secret.verify("invitation", &signed, now, Duration::from_secs(3600));
    /// assert_eq!(read.map(|signed| signed.value).as_deref(), Some(&b"ada"[..]));
    /// # Ok::<(), squall::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// 500 if the current secret is missing or empty.
    pub fn sign(&self, name: &str, value: &[u8], now: SystemTime) -> Result<String> {
        let key = self.current()?;
        let version = key.version.to_string();
        let seconds = since_epoch(now).as_secs().to_string();
        let base64 = BASE64.encode(value);
        let mut text = String::from("2|");
        for field in [&*version, &*seconds, name, &*base64] {
            text.push_str(&field.len().to_string());
            text.push(':');
            text.push_str(field);
            text.push('|');
        }
        let signature = key.sha256.clone().chain_update(&text).finalize();
        text.push_str(&HEXLOWER.encode(&signature.into_bytes()));
        Ok(text)
    }

    /// Verifies a signed value (Tornado's `decode_signed_value`).
    ///
    /// Returns `None` if it is malformed, forged, signed under another name or with a secret that is gone, or older than
    /// `max_age`. The signature is compared in constant time.
    #[must_use]
    pub fn verify(&self, name: &str, text: &str, now: SystemTime, max_age: Duration) -> Option<Signed> {
        match version(text) {
            2 => self.verify_2(name, text, now, max_age),
            1 if self.reads_version_1 => self.verify_1(name, text, now, max_age),
            _ => None,
        }
    }

    fn verify_2(&self, name: &str, text: &str, now: SystemTime, max_age: Duration) -> Option<Signed> {
        let fields = Fields::read(text)?;
        let signature = HEXLOWER.decode(fields.signature.as_bytes()).ok()?;
        let key = self.of_version(fields.key_version)?;
        let mac = key.sha256.clone().chain_update(fields.covered);
        mac.verify_slice(&signature).ok()?;
        if fields.name != name || is_older(fields.seconds, now, max_age) {
            return None;
        }
        Some(Signed {
            value: BASE64.decode(fields.base64.as_bytes()).ok()?,
            key_version: fields.key_version,
        })
    }

    fn verify_1(&self, name: &str, text: &str, now: SystemTime, max_age: Duration) -> Option<Signed> {
        let (base64, rest) = text.split_once('|')?;
        let (time, signature) = rest.split_once('|')?;
        let signature = HEXLOWER.decode(signature.as_bytes()).ok()?;
        let key = self.current().ok()?;
        let mac = key.sha1.clone().chain_update(name).chain_update(base64);
        mac.chain_update(time).verify_slice(&signature).ok()?;
        let seconds = decimal(time)?;
        let ahead = Duration::from_secs(seconds).saturating_sub(since_epoch(now));
        if is_older(seconds, now, max_age) || ahead > AHEAD_MAX || time.starts_with('0') {
            return None;
        }
        Some(Signed {
            value: BASE64.decode(base64.as_bytes()).ok()?,
            key_version: key.version,
        })
    }
}

impl<'t> Fields<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let rest = text.strip_prefix("2|")?;
        let (key_version, rest) = field(rest)?;
        let (seconds, rest) = field(rest)?;
        let (name, rest) = field(rest)?;
        let (base64, signature) = field(rest)?;
        Some(Self {
            key_version: u32::try_from(decimal(key_version)?).ok()?,
            seconds: decimal(seconds)?,
            name,
            base64,
            covered: text.strip_suffix(signature)?,
            signature,
        })
    }
}

/// Reads `length:text|`, and returns the text and what follows.
fn field(text: &str) -> Option<(&str, &str)> {
    let (length, rest) = text.split_once(':')?;
    let length = usize::try_from(decimal(length)?).ok()?;
    let (field, rest) = rest.split_at_checked(length)?;
    Some((field, rest.strip_prefix('|')?))
}

/// Reads a number without sign and without leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with('0');
    is_canonical.then(|| parse_digits(text.as_bytes())).flatten()
}

/// The version of a signed value: the number before the first `|`; 1 where the text begins with anything else.
fn version(text: &str) -> u64 {
    let number = text.split_once('|').map(|(number, _)| number);
    let number = number.filter(|number| number.len() <= 3 && !number.starts_with('0'));
    number.and_then(decimal).unwrap_or(1)
}

pub(super) fn is_older(seconds: u64, now: SystemTime, max_age: Duration) -> bool {
    Duration::from_secs(seconds).saturating_add(max_age) < since_epoch(now)
}

/// The time since 1970; 0 for a clock set before.
pub(super) fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
