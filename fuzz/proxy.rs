//! The invariants for any beginning of a connection behind a proxy. A violation panics. libFuzzer calls this function
//! through `fuzz_targets/`, and `tests/fuzz_smoke.rs` on stable Rust.

use squall::proxy_protocol::{ProxyHeader, parse_proxy_header};

/// The bytes as received. More bytes change no result but `Incomplete`, and a header ends within what has come.
pub(crate) fn header(data: &[u8]) {
    let whole = parse_proxy_header(data);
    if let Ok(ProxyHeader::Complete { bytes, .. }) = whole {
        assert!(bytes <= data.len(), "a header of {bytes} bytes in {}", data.len());
        let alone = parse_proxy_header(&data[..bytes]);
        assert_eq!(alone, whole, "the bytes behind a header do not matter");
    }
    // Enough positions of a long input, and all of a short one.
    let step = data.len() / 64 + 1;
    for end in (0..data.len()).step_by(step) {
        let part = parse_proxy_header(&data[..end]);
        assert!(
            part == Ok(ProxyHeader::Incomplete) || part == whole,
            "{part:?} after {end} bytes, {whole:?} after {}",
            data.len()
        );
    }
}
