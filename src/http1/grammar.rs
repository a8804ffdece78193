//! The grammar of HTTP/1: byte classes, numbers and the two kinds of line, each with its rule of RFC 9110
//! or 9112. Every function is pure, and rejects instead of repairing.

use core::net::Ipv6Addr;

use memchr::memchr;

use super::error::ParseError;
use super::version::MinorVersion;
use crate::message::{ByteSet, is_token, parse_digits};

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

/// Returns whether a byte may stand in a field value: HTAB, SP, VCHAR or obs-text, which is kept unchanged (RFC 9110
/// §5.5).
pub(super) fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The bytes of a request-target: visible ASCII except `#`, because a fragment is never sent (RFC 9110 §7.1). RFC 3986
/// allows fewer, but browsers send `|`, `"` and braces unescaped. None of these can be mistaken for the end of the
/// target.
pub(super) static TARGET_BYTES: ByteSet = ByteSet::range(b'!', b'~').without(b"#");

/// The bytes of a request-target before its query.
pub(super) static PATH_BYTES: ByteSet = ByteSet::range(b'!', b'~').without(b"#?");

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

/// ```text
/// Content-Length  = 1*DIGIT                                              ; RFC 9110 §8.6
/// ```
///
/// Rejects numbers from 2⁶³ on, so that no sum or cast of lengths can wrap.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.len() > DECIMAL_DIGITS_MAX {
        return None;
    }
    parse_digits(digits).filter(|&number| number <= LENGTH_MAX)
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

/// ```text
/// Host        = uri-host [ ":" port ]                                    ; RFC 9110 §7.2
/// uri-host    = IP-literal / IPv4address / reg-name                      ; RFC 3986 §3.2.2
/// reg-name    = *( unreserved / pct-encoded / sub-delims )
/// port        = *DIGIT
/// ```
///
/// Deviations: rejects a comma, because two `Host` lines joined by a proxy look like one with a comma; rejects
/// IPvFuture, which is unused; limits the port to 65535. Accepts an empty value, as RFC 9112 §3.2 requires.
pub(super) fn is_host(bytes: &[u8]) -> bool {
    if let Some(literal) = bytes.strip_prefix(b"[") {
        return is_ip_literal(literal);
    }
    let mut rest = bytes;
    loop {
        match REG_NAME_BYTES.split(rest).1 {
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest = after,
            port => return is_port(port),
        }
    }
}

/// ```text
/// IP-literal  = "[" ( IPv6address / IPvFuture  ) "]"                     ; RFC 3986 §3.2.2
/// ```
///
/// Never inlined, because it is large and most hosts are names.
#[inline(never)]
fn is_ip_literal(literal: &[u8]) -> bool {
    let Some((address, port)) = memchr(b']', literal).and_then(|end| literal.split_at_checked(end)) else {
        return false;
    };
    let is_address = str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    is_address && is_port(port.get(1..).unwrap_or_default())
}

/// The bytes of a reg-name except percent escapes.
static REG_NAME_BYTES: ByteSet =
    ByteSet::of(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~!$&'()*+;=");

fn is_port(port: &[u8]) -> bool {
    match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => parse_digits::<u16>(digits).is_some(),
        _ => false,
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

/// The largest length of a body or a chunk: the largest file offset.
pub(super) const LENGTH_MAX: u64 = i64::MAX as u64;

/// Most digits of a decimal number. 2⁶³ has 19; the others of 32 are room for leading zeros, which are legal.
const DECIMAL_DIGITS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_reads_digits_and_nothing_else() {
        let good: [(&[u8], u64); 5] = [
            (b"0", 0),
            (b"010", 10),
            (b"9223372036854775807", LENGTH_MAX),
            (b"00000000000000000000000000000042", 42),
            (b"65536", 65536),
        ];
        for (digits, number) in good {
            assert_eq!(decimal(digits), Some(number), "{}", digits.escape_ascii());
        }
        let bad: [&[u8]; 12] = [
            b"",
            b"+5",
            b"-5",
            b"-0",
            b"0x10",
            b"1_0",
            b"5 5",
            b"1Z",
            b"9223372036854775808",
            b"18446744073709551616",
            b"1111111111111111111111111111111111111111",
            "５".as_bytes(),
        ];
        for digits in bad {
            assert_eq!(decimal(digits), None, "{}", digits.escape_ascii());
        }
    }

    #[test]
    fn host_is_a_name_or_an_address_with_an_optional_port() {
        for good in [
            "",
            "a",
            "a:80",
            "a:",
            "a:65535",
            "127.0.0.1:8888",
            "[::1]",
            "[::1]:80",
            "[2001:db8::7]:0",
            "ex%41mple.org",
            "a_b.c~d",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "a,b",
            "u@a",
            "u:p@a",
            "[::1",
            "::1",
            "[::1]80",
            "[::1]x",
            "[]",
            "[v1.a]",
            "[fe80::1%25eth0]",
            "a:b",
            "a:65536",
            "a:+1",
            "a:1:2",
            "a b",
            "a/b",
            "a%4",
            "a%zz",
            "a\0.b",
            "a\"",
            "a<b",
            "é",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

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
