//! The grammar that several protocols share: tokens and numbers, read strictly.

use core::str::FromStr;

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
}
