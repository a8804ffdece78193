//! The directives of `Cache-Control` that a response carries (RFC 9111 §5.2).

use crate::message::{Headers, header};

/// Whether a response has a directive, such as `no-store`, in any case.
pub(in crate::app) fn has_directive(headers: &Headers, name: &[u8]) -> bool {
    let mut lines = headers.iter().filter(|(field, _)| **field == header::CACHE_CONTROL);
    lines.any(|(_, line)| {
        let mut directives = line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        directives.any(|directive| directive.eq_ignore_ascii_case(name))
    })
}
