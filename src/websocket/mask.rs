//! Masking (RFC 6455 §5.3): each byte XOR one of four key bytes; a second pass restores the bytes. It works in words,
//! because every byte of a client passes through it.

/// Masks or unmasks `bytes`, which begin `offset` bytes into the payload.
pub(super) fn apply(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let mut key = key;
    key.rotate_left(offset % 4);
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c, d]) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::apply;

    /// RFC 6455 §5.7.
    #[test]
    fn the_example_of_the_rfc() {
        let mut bytes = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply(&mut bytes, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&bytes, b"Hello");
    }

    proptest! {
        /// Masking in words, from any offset, equals masking byte by byte.
        #[test]
        fn masking_in_words_equals_masking_in_bytes(bytes: Vec<u8>, key: [u8; 4], offset in 0_usize..100) {
            let slow: Vec<u8> = bytes.iter().enumerate().map(|(place, byte)| byte ^ key[(place + offset) % 4]).collect();
            let mut fast = bytes;
            apply(&mut fast, key, offset);
            prop_assert_eq!(fast, slow);
        }
    }
}
