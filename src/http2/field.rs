//! What a decoded field is to a request: a pseudo-field, a field for the connection, or another (RFC 9113 §8.2, §8.3).
//!
//! The class also says whether name and value are well-formed. A table of HPACK keeps the class of each entry, so a
//! field that arrives as an index is never checked again.

use crate::message::{ByteSet, is_field_byte};

/// The class of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// Name or value break the grammar, so the message is malformed.
    Unsound,
    Method,
    Scheme,
    Authority,
    Path,
    Status,
    /// `:protocol` of an extended CONNECT (RFC 8441 §4).
    Protocol,
    UnknownPseudo,
    Host,
    Cookie,
    ContentLength,
    Te,
    Expect,
    Priority,
    /// A field of HTTP/1 connections, which HTTP/2 forbids (RFC 9113 §8.2.2).
    ConnectionSpecific,
    Other,
}

/// The bytes of a field name: those of a token, without upper case (RFC 9113 §8.2.1).
static NAME_BYTES: ByteSet = ByteSet::of(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz");

/// Classifies a field and checks its grammar.
///
/// Deviation: rejects every control character in a value; RFC 9113 §8.2.1 demands it of NUL, CR and LF alone. HTTP/1.1
/// has the same rule here, so an application reads one grammar.
pub(super) fn classify(name: &[u8], value: &[u8]) -> FieldKind {
    if !is_value(value) {
        return FieldKind::Unsound;
    }
    if let Some(pseudo) = name.strip_prefix(b":") {
        return pseudo_kind(pseudo);
    }
    if name.is_empty() || !NAME_BYTES.contains_all(name) {
        return FieldKind::Unsound;
    }
    match name {
        b"host" => FieldKind::Host,
        b"cookie" => FieldKind::Cookie,
        b"content-length" => FieldKind::ContentLength,
        b"te" => FieldKind::Te,
        b"expect" => FieldKind::Expect,
        b"priority" => FieldKind::Priority,
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
            FieldKind::ConnectionSpecific
        }
        _ => FieldKind::Other,
    }
}

fn pseudo_kind(name: &[u8]) -> FieldKind {
    match name {
        b"method" => FieldKind::Method,
        b"scheme" => FieldKind::Scheme,
        b"authority" => FieldKind::Authority,
        b"path" => FieldKind::Path,
        b"status" => FieldKind::Status,
        b"protocol" => FieldKind::Protocol,
        _ => FieldKind::UnknownPseudo,
    }
}

/// Returns whether a value has field bytes only, and no blank at either end.
fn is_value(value: &[u8]) -> bool {
    // Without an early exit the compiler makes this vector code.
    let is_sound = value
        .iter()
        .fold(true, |is_sound, &byte| is_sound & is_field_byte(byte));
    is_sound && !matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

#[cfg(test)]
mod tests {
    use super::{FieldKind, classify};

    #[test]
    fn malformed_names_and_values_are_unsound() {
        let bad: [(&[u8], &[u8]); 14] = [
            (b"", b"a"),
            (b"Host", b"a"),
            (b"x-A", b"a"),
            (b"a b", b"a"),
            (b"a:", b"a"),
            (b"a\0", b"a"),
            (b"\xc3\xa9", b"a"),
            (b"a", b" b"),
            (b"a", b"b "),
            (b"a", b"\tb"),
            (b"a", b"b\r\nc"),
            (b"a", b"\0"),
            (b"a", b"\x7f"),
            (b":path", b"/\n"),
        ];
        for (name, value) in bad {
            assert_eq!(classify(name, value), FieldKind::Unsound, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn fields_with_a_meaning_have_a_class() {
        let known: [(&[u8], FieldKind); 10] = [
            (b":method", FieldKind::Method),
            (b":protocol", FieldKind::Protocol),
            (b":", FieldKind::UnknownPseudo),
            (b":Path", FieldKind::UnknownPseudo),
            (b"host", FieldKind::Host),
            (b"te", FieldKind::Te),
            (b"upgrade", FieldKind::ConnectionSpecific),
            (b"transfer-encoding", FieldKind::ConnectionSpecific),
            (b"content_length", FieldKind::Other),
            (b"x", FieldKind::Other),
        ];
        for (name, kind) in known {
            assert_eq!(classify(name, b"a\tb \xff c"), kind, "{}", name.escape_ascii());
        }
    }
}
