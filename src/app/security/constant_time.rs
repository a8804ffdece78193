//! Comparison of secrets in a time that depends on neither of them, not even on their lengths.
//!
//! It compares hashes: a client that measures the time learns about a hash, from which it cannot go back.

use hmac::digest::CtOutput;
use sha2::{Digest as _, Sha256};

/// Whether two secrets are equal.
pub(super) fn is_equal(ours: &[u8], theirs: &[u8]) -> bool {
    CtOutput::<Sha256>::new(Sha256::digest(ours)) == CtOutput::new(Sha256::digest(theirs))
}

#[cfg(test)]
mod tests {
    use super::is_equal;

    #[test]
    fn secrets_are_equal_byte_for_byte() {
        for (ours, theirs, expected) in [
            ("", "", true),
            ("a", "a", true),
            ("a", "A", false),
            ("a", "", false),
            ("a", "a\0", false),
        ] {
            assert_eq!(
                is_equal(ours.as_bytes(), theirs.as_bytes()),
                expected,
                "{ours} {theirs}"
            );
        }
    }
}
