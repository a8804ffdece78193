//! The grammar that several protocols share: tokens, numbers, field values, targets and hosts, read strictly.

use core::net::Ipv6Addr;
use core::str::FromStr;

use memchr::memchr;

use super::byte_set::ByteSet;

/// ```text
/// tchar  = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." /
///          "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA                   ; RFC 9110 §5.6.2
/// ```
pub(crate) static TOKEN_BYTES: ByteSet =
    ByteSet::of(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/// ```text
/// token  = 1*tchar                                                       ; RFC 9110 §5.6.2
/// ```
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && TOKEN_BYTES.contains_all(bytes)
}

/// Reads an unsigned decimal number: one digit or more and nothing else. `str::parse` would accept a sign.
///
/// `None` also where the number does not fit `T`.
pub(crate) fn parse_digits<T: FromStr>(digits: &[u8]) -> Option<T> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Returns whether a byte may stand in a field value: HTAB, SP, VCHAR or obs-text, which is kept unchanged (RFC 9110
/// §5.5).
pub(crate) fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The bytes of a request-target: visible ASCII except `#`, because a fragment is never sent (RFC 9110 §7.1). RFC 3986
/// allows fewer, but browsers send `|`, `"` and braces unescaped. None of these can be mistaken for the end of the
/// target.
pub(crate) static TARGET_BYTES: ByteSet = ByteSet::range(b'!', b'~').without(b"#");

/// The bytes of a request-target before its query.
pub(crate) static PATH_BYTES: ByteSet = ByteSet::range(b'!', b'~').without(b"#?");

/// ```text
/// Content-Length  = 1*DIGIT                                              ; RFC 9110 §8.6
/// ```
///
/// Rejects numbers from 2⁶³ on, so that no sum or cast of lengths can wrap.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.len() > DECIMAL_DIGITS_MAX {
        return None;
    }
    parse_digits(digits).filter(|&number| number <= LENGTH_MAX)
}

/// ```text
/// Host        = uri-host [ ":" port ]                                    ; RFC 9110 §7.2
/// uri-host    = IP-literal / IPv4address / reg-name                      ; RFC 3986 §3.2.2
/// reg-name    = *( unreserved / pct-encoded / sub-delims )
/// port        = *DIGIT
/// ```
///
/// Deviations: rejects a comma, because two `Host` lines joined by a proxy look like one with a comma. Rejects
/// IPvFuture, which is unused, and limits the port to 65535. Accepts an empty value, as RFC 9112 §3.2 requires.
pub(crate) fn is_host(bytes: &[u8]) -> bool {
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

/// The largest length of a body or a chunk: the largest file offset.
pub(crate) const LENGTH_MAX: u64 = i64::MAX as u64;

/// Most digits of a decimal number. 2⁶³ has 19; the others of 32 are room for leading zeros, which are legal.
const DECIMAL_DIGITS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        assert_eq!(parse_digits(b"0"), Some(0_u16));
        assert_eq!(parse_digits(b"00065535"), Some(u16::MAX));
        assert_eq!(parse_digits(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "+5", "-5", "-0", "0x10", "1_0", "5 5", " 5", "1Z", "65536", "５"] {
            assert_eq!(parse_digits::<u16>(bad.as_bytes()), None, "{bad}");
        }
    }

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
}
