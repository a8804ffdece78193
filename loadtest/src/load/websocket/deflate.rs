//! permessage-deflate (RFC 7692) without context takeover: each message is compressed alone, so connections keep no
//! window between messages.
//!
//! The generator sends uncompressed messages, which the extension allows, and inflates compressed ones with a new
//! inflater each. Only memory is measured with it, never time.

use flate2::{Decompress, FlushDecompress};
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderName, HeaderValue};

use super::frame::Violation;

/// The bytes that a sender removes from the end of each compressed message (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// How many bytes an incompressible message may grow by: 64, a dozen stored blocks.
pub(super) const OVERHEAD_BYTES_MAX: usize = 64;

const OFFER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Returns the request field that offers the extension.
pub(crate) fn offer() -> (HeaderName, HeaderValue) {
    (SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(OFFER))
}

/// Whether the response field accepts the offer with `server_no_context_takeover`.
///
/// The client's context does not matter, because the generator sends uncompressed messages.
pub(super) fn is_taken(answer: &[u8]) -> bool {
    let mut members = answer.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let is = |member: &[u8], name: &str| member.eq_ignore_ascii_case(name.as_bytes());
    members.next().is_some_and(|name| is(name, "permessage-deflate"))
        && members.any(|member| is(member, "server_no_context_takeover"))
}

/// Inflates a message to at most `bytes_max` bytes.
pub(super) fn inflate(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, Violation> {
    let mut inflater = Decompress::new(false);
    let mut message = Vec::with_capacity(bytes_max + 1);
    for part in [payload, &TAIL] {
        let before = inflater.total_in();
        inflater
            .decompress_vec(part, &mut message, FlushDecompress::Sync)
            .map_err(|_| Violation::Deflate)?;
        let is_taken_whole = inflater.total_in() - before == part.len() as u64;
        if !is_taken_whole || message.len() > bytes_max {
            return Err(Violation::Deflate);
        }
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Hello", compressed (section 7.2.3.1) and stored (7.2.3.3).
    #[test]
    fn examples_of_rfc_7692_are_inflated() {
        for payload in [
            &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00][..],
            &[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
        ] {
            assert_eq!(inflate(payload, 5), Ok(b"Hello".to_vec()));
            assert_eq!(inflate(payload, 4), Err(Violation::Deflate), "it is longer");
        }
        assert_eq!(inflate(&[0xFF; 8], 100), Err(Violation::Deflate));
    }

    #[test]
    fn offer_is_accepted_only_without_server_context_takeover() {
        assert!(is_taken(OFFER.as_bytes()));
        assert!(is_taken(
            b"Permessage-Deflate;server_no_context_takeover ; server_max_window_bits=10"
        ));
        for other in [
            "permessage-deflate",
            "x-webkit-deflate-frame; server_no_context_takeover",
            "",
        ] {
            assert!(!is_taken(other.as_bytes()), "{other}");
        }
    }
}
