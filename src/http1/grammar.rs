//! The grammar of HTTP/1: byte classes, numbers and the two kinds of line, each with its rule of RFC 9110
//! or 9112. Every function is pure, and rejects instead of repairing.

use memchr::memchr;

use super::error::ParseError;
use super::version::MinorVersion;
use crate::message::is_token;
pub(super) use crate::message::{LENGTH_MAX, PATH_BYTES, TARGET_BYTES, decimal, is_field_byte, is_host};

/// The parts of a request-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestLine<'b> {
    pub(super) method: &'b [u8],
    pub(super) target: &'b str,
    pub(super) version: MinorVersion,
}

/// The parts of a field line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldLine<'b> {
    pub(super) name: &'b [u8],
    pub(super) value: &'b [u8],
}

impl<'b> RequestLine<'b> {
    /// ```text
    /// request-line   = method SP request-target SP HTTP-version          ; RFC 9112 §3
    /// method         = token
    /// ```
    ///
    /// Deviation: only single spaces separate the parts. §3 allows any whitespace, but two readings of one line enable
    /// request smuggling.
    pub(super) fn parse(line: &'b [u8]) -> Result<Self, ParseError> {
        let (method, rest) = split_at_space(line).ok_or(ParseError::RequestLine)?;
        if !is_token(method) {
            return Err(ParseError::Method);
        }
        let (target, version) = split_at_space(rest).ok_or(ParseError::RequestLine)?;
        if target.is_empty() {
            return Err(ParseError::RequestLine);
        }
        if !TARGET_BYTES.contains_all(target) {
            return Err(ParseError::Target);
        }
        Ok(Self {
            method,
            target: str::from_utf8(target).map_err(|_| ParseError::Target)?,
            version: http_version(version)?,
        })
    }
}

impl<'b> FieldLine<'b> {
    /// ```text
    /// field-line   = field-name ":" OWS field-value OWS                  ; RFC 9112 §5
    /// field-name   = token
    /// field-value  = *( HTAB / SP / VCHAR / obs-text )                   ; RFC 9110 §5.5, as one class of bytes
    /// OWS          = *( SP / HTAB )
    /// ```
    ///
    /// Rejects a line that begins with a blank (obs-fold, RFC 9112 §5.2) and a blank before the colon (§5.1).
    pub(super) fn parse(line: &'b [u8]) -> Result<Self, ParseError> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(ParseError::FoldedField);
        }
        let (name, value) = split_at_byte(line, b':').ok_or(ParseError::FieldLine)?;
        if !is_token(name) {
            return Err(ParseError::FieldName);
        }
        if !value.iter().all(|&byte| is_field_byte(byte)) {
            return Err(ParseError::FieldValue);
        }
        Ok(Self {
            name,
            value: trim_blanks(value),
        })
    }
}

/// ```text
/// HTTP-version  = HTTP-name "/" DIGIT "." DIGIT                          ; RFC 9112 §2.3
/// HTTP-name     = %s"HTTP"
/// ```
///
/// Reads a higher minor version of HTTP/1 as 1.1, as RFC 9110 §2.5 requires.
pub(super) fn http_version(version: &[u8]) -> Result<MinorVersion, ParseError> {
    match version {
        b"HTTP/1.1" => Ok(MinorVersion::One),
        b"HTTP/1.0" => Ok(MinorVersion::Zero),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            if *major == b'1' {
                Ok(MinorVersion::One)
            } else {
                Err(ParseError::VersionUnsupported)
            }
        }
        _ => Err(ParseError::RequestLine),
    }
}

/// Returns the value of one hexadecimal digit of a chunk size (RFC 9112 §7.1).
pub(super) fn hex_digit(byte: u8) -> Option<u64> {
    match byte {
        b'0'..=b'9' => Some(u64::from(byte - b'0')),
        b'a'..=b'f' => Some(u64::from(byte - b'a') + 10),
        b'A'..=b'F' => Some(u64::from(byte - b'A') + 10),
        _ => None,
    }
}

/// Returns the trimmed elements of a comma-separated list, including empty ones (RFC 9110 §5.6.1).
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_blanks)
}

/// Trims OWS, which is SP and HTAB only. A server that also trimmed 0x0b or 0xa0 would see another value than its
/// neighbours.
pub(super) fn trim_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn split_at_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    split_at_byte(bytes, b' ')
}

/// Splits at the first `separator`, which is dropped.
fn split_at_byte(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, after) = bytes.split_at_checked(memchr(separator, bytes)?)?;
    Some((before, after.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_space_and_tab_only() {
        let line = FieldLine::parse(b"X: \t \x0b").map(|line| line.value);
        assert_eq!(line, Err(ParseError::FieldValue), "vertical tab is a control character");
        let values: [(&[u8], &[u8]); 5] = [
            (b"X:", b""),
            (b"X: \t ", b""),
            (b"X:a", b"a"),
            (b"X: \xa0a\t ", b"\xa0a"),
            (b"X:\ta b ", b"a b"),
        ];
        for (line, value) in values {
            assert_eq!(
                FieldLine::parse(line),
                Ok(FieldLine { name: b"X", value }),
                "{}",
                line.escape_ascii()
            );
        }
    }
}
