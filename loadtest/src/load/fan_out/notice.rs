//! The server's notice to a subscriber about missed messages: a text message `{"topic":"prices","missed":3}` in their
//! place.

use serde::Deserialize;

/// The longest notice; it contains the topic's name.
pub(super) const NOTICE_BYTES_MAX: usize = 1024;

#[derive(Debug, Deserialize)]
struct Notice {
    missed: u64,
}

/// Returns the number of missed messages in a notice; `None` if `text` is not a notice.
pub(super) fn missed(text: &[u8]) -> Option<u64> {
    serde_json::from_slice(text).ok().map(|Notice { missed }| missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notice_needs_a_number_of_missed_messages() {
        assert_eq!(missed(br#"{"topic":"t","missed":3}"#), Some(3));
        assert_eq!(missed(br#"{"topic":null,"missed":4}"#), Some(4));
        for other in [r#"{"topic":"t"}"#, r#"{"missed":"3"}"#, "missed 3", ""] {
            assert_eq!(missed(other.as_bytes()), None, "{other}");
        }
    }
}
