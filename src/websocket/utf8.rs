//! Validation of UTF-8 in pieces (RFC 6455 §8.1, RFC 3629). It fails at the first impossible byte, wherever the text is
//! cut.
//!
//! The standard library checks whole pieces. Only a sequence across a cut is kept, at most three bytes of it.

/// The state between two pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Utf8 {
    /// The beginning of an incomplete sequence.
    partial: [u8; 4],
    partial_bytes: usize,
}

/// The error of bytes that no continuation could make valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidUtf8;

impl Utf8 {
    /// Takes the next piece.
    ///
    /// # Errors
    ///
    /// [`InvalidUtf8`] at the first impossible byte.
    pub(super) fn receive(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let mut rest = piece;
        while self.partial_bytes > 0
            && let Some((&byte, after)) = rest.split_first()
        {
            rest = after;
            self.continue_sequence(byte)?;
        }
        match str::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(InvalidUtf8),
            Err(error) => {
                for &byte in rest.get(error.valid_up_to()..).unwrap_or_default() {
                    self.push(byte);
                }
                Ok(())
            }
        }
    }

    /// Whether the text may end here. Outside of tests, the check of the whole message covers this.
    #[cfg(test)]
    pub(super) fn is_complete(self) -> bool {
        self.partial_bytes == 0
    }

    fn continue_sequence(&mut self, byte: u8) -> Result<(), InvalidUtf8> {
        self.push(byte);
        match str::from_utf8(self.partial.get(..self.partial_bytes).unwrap_or_default()) {
            Ok(_) => self.partial_bytes = 0,
            Err(error) if error.error_len().is_some() => return Err(InvalidUtf8),
            Err(_) => {}
        }
        Ok(())
    }

    /// A sequence of 4 bytes is either complete or refused, so it always fits.
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.partial.get_mut(self.partial_bytes) {
            *place = byte;
            self.partial_bytes += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::{InvalidUtf8, Utf8};

    /// Number of bytes before the one that is refused; `None` if all are accepted.
    fn refused_after(bytes: &[u8]) -> Option<usize> {
        let mut utf8 = Utf8::default();
        (0..bytes.len()).find(|&place| utf8.receive(&bytes[place..=place]).is_err())
    }

    #[test]
    fn the_first_impossible_byte_is_rejected() {
        let cases: [(&[u8], usize); 16] = [
            (b"\x80", 0),
            (b"\xbf", 0),
            (b"\xc0\xaf", 0),
            (b"\xc1\xbf", 0),
            (b"\xc2\x20", 1),
            (b"\xe0\x80\xaf", 1),
            (b"\xe0\x9f\xbf", 1),
            (b"\xe1\x80\x20", 2),
            (b"\xed\xa0\x80", 1),
            (b"\xed\xbf\xbf", 1),
            (b"\xf0\x8f\xbf\xbf", 1),
            (b"\xf4\x90\x80\x80", 1),
            (b"\xf5\x80", 0),
            (b"\xff", 0),
            (b"a\xce\xba\xf4\x8f\xbf\xc0", 6),
            (b"\xf8\x88\x80\x80\x80", 0),
        ];
        for (bytes, place) in cases {
            assert_eq!(refused_after(bytes), Some(place), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn every_scalar_value_passes_and_every_prefix_of_one_waits() {
        for scalar in [
            '\0'..='\u{fff}',
            '\u{d700}'..='\u{e0ff}',
            '\u{fff0}'..='\u{100ff}',
            '\u{10ff00}'..='\u{10ffff}',
        ]
        .into_iter()
        .flatten()
        {
            let mut bytes = [0; 4];
            let text = scalar.encode_utf8(&mut bytes).as_bytes();
            let mut utf8 = Utf8::default();
            for (place, byte) in text.iter().enumerate() {
                assert_eq!(utf8.receive(&[*byte]), Ok(()), "{scalar:?}");
                assert_eq!(utf8.is_complete(), place + 1 == text.len(), "{scalar:?}");
            }
        }
    }

    fn nearly_text() -> impl Strategy<Value = Vec<u8>> {
        let pieces: [&[u8]; 14] = [
            b"a",
            b"\xce\xba",
            b"\xe2\x82\xac",
            b"\xf0\x9f\x8c\xaa",
            b"\xed\x9f\xbf",
            b"\xee\x80\x80",
            b"\xf4\x8f\xbf\xbf",
            b"\xf0",
            b"\x80",
            b"\x90\x80",
            b"\xe0\xa0",
            b"\xed\xa0",
            b"\xc0",
            b"\xff",
        ];
        vec(select(pieces.to_vec()), 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Wherever it is cut, the result equals that of the standard library for the whole.
        #[test]
        fn the_partition_of_the_text_does_not_matter(bytes in nearly_text(), cut in 0_usize..32) {
            let cut = cut.min(bytes.len());
            let mut utf8 = Utf8::default();
            let taken = utf8.receive(&bytes[..cut]).and_then(|()| utf8.receive(&bytes[cut..]));
            let verdict = match str::from_utf8(&bytes) {
                Ok(_) => Ok(true),
                Err(error) if error.error_len().is_none() => Ok(false),
                Err(_) => Err(InvalidUtf8),
            };
            prop_assert_eq!(taken.map(|()| utf8.is_complete()), verdict);
            let impossible = str::from_utf8(&bytes).err().and_then(|error| {
                let from = error.valid_up_to();
                error.error_len().map(|length| (from, from + length))
            });
            if let Some((from, to)) = impossible {
                let place = refused_after(&bytes);
                prop_assert!(place.is_some_and(|place| (from..=to).contains(&place)), "{:?}", place);
            }
        }
    }
}
