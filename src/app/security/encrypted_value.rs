//! Encrypted values: what signed values are, and unreadable for their bearer (XChaCha20-Poly1305).
//!
//! ```text
//! "e1|" key-version "|" base64url( nonce[24] sealed( seconds[8] value ) )      with "name|key-version" authenticated
//! ```
//!
//! The nonce is random. Its 24 bytes make a repetition as unlikely as a guess of the key. The key is derived from the
//! secret under a label, so that it serves nothing else.
//!
//! Invariant: as of a signed value.

use std::time::{Duration, SystemTime};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::BASE64URL_NOPAD;
use hmac::Mac;

use super::cookie_secret::{CookieSecret, Key};
use super::signed_value::{Signed, decimal, is_older, since_epoch};
use crate::error::{Error, Result};

/// The bytes of a nonce.
pub(super) const NONCE_BYTES: usize = 24;

/// What the key is for.
const LABEL: &str = "squall encrypted value 1";

impl CookieSecret {
    /// Encrypts a value under a name; `nonce` must be random.
    pub(super) fn encrypt(
        &self,
        name: &str,
        value: &[u8],
        now: SystemTime,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<String> {
        let key = self.current()?;
        let mut plain = since_epoch(now).as_secs().to_be_bytes().to_vec();
        plain.extend_from_slice(value);
        let aad = authenticated(name, key);
        let payload = Payload {
            msg: &plain,
            aad: aad.as_bytes(),
        };
        let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload);
        let sealed =
            sealed.map_err(|_| Error::new("could not encrypt a value: it is too long; keep it on the server"))?;
        let bytes = [&nonce[..], &sealed].concat();
        Ok(format!("e1|{}|{}", key.version, BASE64URL_NOPAD.encode(&bytes)))
    }

    /// Decrypts a value; `None` as for [`verify`](Self::verify).
    pub(super) fn decrypt(&self, name: &str, text: &str, now: SystemTime, max_age: Duration) -> Option<Signed> {
        let (version, sealed) = text.strip_prefix("e1|")?.split_once('|')?;
        let key = self.of_version(u32::try_from(decimal(version)?).ok()?)?;
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let aad = authenticated(name, key);
        let payload = Payload {
            msg: sealed,
            aad: aad.as_bytes(),
        };
        let plain = cipher(key).decrypt(&XNonce::from(*nonce), payload).ok()?;
        let (seconds, value) = plain.split_first_chunk::<8>()?;
        (!is_older(u64::from_be_bytes(*seconds), now, max_age)).then(|| Signed {
            value: value.to_vec(),
            key_version: key.version,
        })
    }
}

/// What the tag covers beside the text.
fn authenticated(name: &str, key: &Key) -> String {
    format!("{name}|{}", key.version)
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    let derived: [u8; 32] = key.sha256.clone().chain_update(LABEL).finalize().into_bytes().into();
    XChaCha20Poly1305::new(&derived.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn an_encrypted_value_hides_and_holds_what_it_was_made_of() {
        let secret = CookieSecret::versions(7, [(1, "k1"), (7, "k7")]);
        let text = secret.encrypt("s", b"value", at(1000), [9; NONCE_BYTES]).unwrap();
        assert!(text.starts_with("e1|7|") && !text.contains("dmFsdWU"), "{text}");
        let read = |secret: &CookieSecret, name: &str, text: &str, seconds| {
            secret
                .decrypt(name, text, at(seconds), HOUR)
                .map(|read| (read.value, read.key_version))
        };
        assert_eq!(read(&secret, "s", &text, 4600), Some((b"value".to_vec(), 7)));
        assert_eq!(read(&secret, "s", &text, 4601), None, "too old");
        assert_eq!(read(&secret, "t", &text, 1000), None, "another name");
        assert_eq!(
            read(&CookieSecret::new("k7"), "s", &text, 1000),
            None,
            "another version"
        );
        let other = CookieSecret::versions(7, [(7, "other")]);
        assert_eq!(read(&other, "s", &text, 1000), None, "another secret");
        assert_eq!(read(&secret, "s", &text.replace("|7|", "|1|"), 1000), None);
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(read(&secret, "s", &changed, 1000), None, "{changed}");
            assert_eq!(read(&secret, "s", &text[..place], 1000), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_encrypted_is_decrypted(name in ".{0,9}", content: Vec<u8>, nonce: [u8; NONCE_BYTES]) {
            let secret = CookieSecret::new("secret");
            let text = secret.encrypt(&name, &content, at(1000), nonce).unwrap();
            prop_assert_eq!(secret.decrypt(&name, &text, at(1000), HOUR).map(|read| read.value), Some(content));
        }

        #[test]
        fn any_other_text_is_refused(text in ".{0,60}|e1\\|0\\|[A-Za-z0-9_-]{0,90}") {
            prop_assert_eq!(CookieSecret::new("secret").decrypt("s", &text, at(1000), HOUR), None);
        }
    }
}
