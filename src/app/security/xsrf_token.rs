//! XSRF tokens, byte for byte as Tornado makes them.
//!
//! ```text
//! version 2    "2|" hex(mask) "|" hex(token XOR mask) "|" seconds
//! version 1    hex(token)
//! ```
//!
//! The mask of 4 bytes is fresh for each page, so the text of a page differs each time. So compression of the page does
//! not reveal the token (the attack BREACH). Text without a version that is not hexadecimal stands for its own bytes.

use core::fmt;
use std::time::SystemTime;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use super::constant_time::is_equal;

/// The bytes of a new token: 16, as in Tornado.
pub(super) const TOKEN_BYTES: usize = 16;

/// The bytes of a mask.
pub(super) const MASK_BYTES: usize = 4;

/// The secret that a page and the cookie of its visitor share, so that pages of other sites cannot act for the visitor.
#[derive(Clone)]
pub struct XsrfToken(Vec<u8>);

impl XsrfToken {
    /// Makes a token of random bytes.
    #[must_use]
    pub fn new(random: [u8; TOKEN_BYTES]) -> Self {
        Self(random.to_vec())
    }

    /// Reads the text of a cookie, form or field; `None` if it is malformed or empty.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let token = match text.split_once('|') {
            Some((version, rest)) if is_version(version) => (version == "2").then(|| unmask(rest)).flatten()?,
            _ => hex(text).unwrap_or_else(|| text.as_bytes().to_vec()),
        };
        (!token.is_empty()).then_some(Self(token))
    }

    /// Writes the token under a mask, which must be random.
    #[must_use]
    pub fn masked(&self, mask: [u8; MASK_BYTES], now: SystemTime) -> String {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let token = HEXLOWER.encode(&apply(mask, &self.0));
        format!("2|{}|{token}|{}", HEXLOWER.encode(&mask), now.as_secs())
    }
}

impl PartialEq for XsrfToken {
    /// Compares in constant time.
    fn eq(&self, other: &Self) -> bool {
        is_equal(&self.0, &other.0)
    }
}

impl Eq for XsrfToken {}

impl fmt::Debug for XsrfToken {
    /// Shows nothing of the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("XsrfToken").finish_non_exhaustive()
    }
}

/// Whether text before a `|` names a version: digits without a leading zero.
fn is_version(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads what follows `2|`.
fn unmask(text: &str) -> Option<Vec<u8>> {
    let (mask, rest) = text.split_once('|')?;
    let (token, seconds) = rest.split_once('|')?;
    // The time is not used; it must be there.
    seconds.parse::<i64>().ok()?;
    let mask = <[u8; MASK_BYTES]>::try_from(hex(mask)?).ok()?;
    Some(apply(mask, &hex(token)?))
}

fn apply(mask: [u8; MASK_BYTES], token: &[u8]) -> Vec<u8> {
    let masks = mask.iter().cycle();
    token.iter().zip(masks).map(|(byte, mask)| byte ^ mask).collect()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn bytes(text: &str) -> Option<Vec<u8>> {
        XsrfToken::read(text).map(|token| token.0)
    }

    #[test]
    fn tornados_tokens_are_read() {
        let token = HEXLOWER.decode(b"9ad7b51d6d85d42e556d3a2b6e7320fb").ok();
        let masked = "2|f2a3039a|6874b6879f26d7b4a7ce39b19cd02361|1300000000";
        assert_eq!(bytes(masked), token);
        assert_eq!(bytes(&masked.to_uppercase()), token);
        assert_eq!(bytes("9ad7b51d6d85d42e556d3a2b6e7320fb"), token, "version 1");
        assert_eq!(bytes("deadbeef"), Some(vec![0xde, 0xad, 0xbe, 0xef]));
        assert_eq!(bytes("xoxo"), Some(b"xoxo".to_vec()));
        assert_eq!(bytes("x|y"), Some(b"x|y".to_vec()));
        let mask = [0xf2, 0xa3, 0x03, 0x9a];
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_000_000);
        assert_eq!(XsrfToken(token.unwrap()).masked(mask, now), masked);
    }

    #[test]
    fn malformed_tokens_are_refused() {
        for text in [
            "",
            "2|",
            "3|",
            "3|f2a3039a|6874b687|1300000000",
            "2|f2a3039a|6874b687",
            "2|f2a3039a|6874b687|",
            "2|f2a3039a|6874b687|x",
            "2|f2a3039a|6874b687|1|1",
            "2|f2a303|6874b687|1300000000",
            "2|f2a3039a9a|6874b687|1300000000",
            "2||6874b687|1300000000",
            "2|f2a3039a||1300000000",
            "2|f2a3039a|6874b68|1300000000",
            "2|f2a3039x|6874b687|1300000000",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_the_same_under_every_mask(
            token: [u8; TOKEN_BYTES],
            other: [u8; TOKEN_BYTES],
            mask: [u8; MASK_BYTES],
            seconds in 0..u64::from(u32::MAX),
        ) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let read = XsrfToken::read(&XsrfToken::new(token).masked(mask, now));
            prop_assert_eq!(read.as_ref(), Some(&XsrfToken::new(token)));
            prop_assert_eq!(read == Some(XsrfToken::new(other)), token == other);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}|2\\|[0-9a-f]{0,9}\\|[0-9a-f]{0,9}\\|[0-9]{0,3}") {
            if let Some(token) = bytes(&text) {
                prop_assert!(!token.is_empty() && token.len() <= text.len());
            }
        }
    }
}
