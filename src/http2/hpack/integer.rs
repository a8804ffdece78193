//! Integers with a prefix (RFC 7541 §5.1).

use super::error::DecodeError;

/// Most octets behind the prefix. 4: numbers up to 2²⁸, which is beyond every limit of this machine.
const CONTINUATION_OCTETS_MAX: u32 = 4;

/// Reads an integer whose first octet, with its prefix of `prefix_bits` bits, is `first`.
///
/// # Errors
///
/// The input ends inside the integer, or it has more than four octets behind the prefix.
pub(super) fn decode(first: u8, prefix_bits: u8, input: &mut &[u8]) -> Result<usize, DecodeError> {
    let mask = prefix_mask(prefix_bits);
    let prefix = first & mask;
    if prefix < mask {
        return Ok(usize::from(prefix));
    }
    let mut value = usize::from(prefix);
    for octet in 0..CONTINUATION_OCTETS_MAX {
        let (&byte, rest) = input.split_first().ok_or(DecodeError::Malformed)?;
        *input = rest;
        value += usize::from(byte & 0x7f) << (7 * octet);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Malformed)
}

/// Writes an integer; `pattern` has the bits in front of the prefix.
pub(super) fn encode(value: usize, prefix_bits: u8, pattern: u8, out: &mut Vec<u8>) {
    let mask = prefix_mask(prefix_bits);
    let Some(mut rest) = value.checked_sub(usize::from(mask)) else {
        out.push(pattern | low_byte(value));
        return;
    };
    out.push(pattern | mask);
    while rest >= 0x80 {
        out.push(0x80 | low_byte(rest & 0x7f));
        rest >>= 7;
    }
    out.push(low_byte(rest));
}

fn prefix_mask(prefix_bits: u8) -> u8 {
    low_byte((1 << prefix_bits) - 1)
}

fn low_byte(value: usize) -> u8 {
    value.to_le_bytes().first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{DecodeError, decode, encode};

    #[test]
    fn integers_survive_every_prefix() {
        for prefix_bits in 4..=7 {
            for value in (0..1000).chain([16_383, 16_384, 65_535, (1 << 28) - 1]) {
                let mut written = Vec::new();
                encode(value, prefix_bits, 0, &mut written);
                let (&first, mut rest) = written.split_first().unwrap();
                assert_eq!(decode(first, prefix_bits, &mut rest), Ok(value), "{prefix_bits} bits");
                assert_eq!(rest, b"");
            }
        }
    }

    #[test]
    fn an_integer_has_at_most_four_octets_behind_its_prefix() {
        let four = [0xff, 0xff, 0xff, 0x7f];
        assert_eq!(decode(0x1f, 5, &mut &four[..]), Ok(31 + (1 << 28) - 1));
        for bad in [
            &[0xff, 0xff, 0xff, 0xff, 0x00][..],
            &[0x80, 0x80, 0x80, 0x80, 0x00],
            &[0x80, 0x80],
            &[],
        ] {
            assert_eq!(decode(0x1f, 5, &mut &bad[..]), Err(DecodeError::Malformed), "{bad:?}");
        }
    }
}
