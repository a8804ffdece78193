//! A content: literal bytes, or a filling of any length, which is made as it is sent or compared.
//!
//! The files and uploads of a comparison have the filling, so a run holds no gigabyte of it in memory.

/// The period of the filling: a prime, so that no block of a file repeats at a power of two.
const PERIOD: usize = 251;

/// The bytes of the filling that one piece offers at least.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// The filling from position 0, long enough for a piece from each position of the period.
static FILLING: [u8; PIECE_BYTES + PERIOD] = filling();

/// What a message or a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    /// The filling of this length.
    Filling(u64),
}

impl Content {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Filling(length) => *length,
        }
    }

    /// Whether it has `part` at `position`.
    #[inline]
    pub(crate) fn has(&self, position: u64, part: &[u8]) -> bool {
        match self {
            Self::Bytes(bytes) => usize::try_from(position)
                .ok()
                .and_then(|position| bytes.get(position..))
                .is_some_and(|rest| rest.starts_with(part)),
            Self::Filling(length) => has_filling(*length, position, part),
        }
    }
}

/// Returns at least [`PIECE_BYTES`] of the filling from `position`.
pub(crate) fn piece(position: u64) -> &'static [u8] {
    let start = usize::try_from(position % PERIOD as u64).unwrap_or_default();
    FILLING.get(start..).unwrap_or_default()
}

fn has_filling(length: u64, position: u64, part: &[u8]) -> bool {
    let Some(end) = position.checked_add(part.len() as u64) else {
        return false;
    };
    let mut at = position;
    end <= length
        && part.chunks(PIECE_BYTES).all(|chunk| {
            let is_right = piece(at).starts_with(chunk);
            at += chunk.len() as u64;
            is_right
        })
}

/// Neighbouring bytes differ and are never zero, so shifted or zeroed content is detected.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below 251")]
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which checks the index"
)]
const fn filling() -> [u8; PIECE_BYTES + PERIOD] {
    let mut bytes = [0; PIECE_BYTES + PERIOD];
    let mut position = 0;
    while position < bytes.len() {
        bytes[position] = (position % PERIOD) as u8 + 1;
        position += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_content_are_recognized_at_their_position() {
        let whole: Vec<u8> = (0..200_000_u32).map(|at| u8::try_from(at % 251).unwrap() + 1).collect();
        for content in [Content::Filling(200_000), Content::Bytes(whole.clone())] {
            assert_eq!(content.length(), 200_000);
            for (from, to) in [
                (0, 200_000),
                (0, 0),
                (251, 70_000),
                (250, 252),
                (199_999, 200_000),
                (200_000, 200_000),
            ] {
                let part = &whole[from..to];
                assert!(content.has(from as u64, part), "{from}..{to}");
                let mut longer = part.to_vec();
                longer.push(if to == 200_000 { 1 } else { 0 });
                assert!(!content.has(from as u64, &longer), "{from}..{to} and a wrong byte");
            }
            assert!(!content.has(1, &whole[..10]));
            assert!(!content.has(u64::MAX, &whole[..10]));
        }
    }

    #[test]
    fn pieces_continue_the_filling() {
        for position in [0, 1, 250, 251, 65_535, 1_u64 << 40] {
            let piece = piece(position);
            assert!(piece.len() >= PIECE_BYTES);
            assert_eq!(u64::from(piece[0]), position % 251 + 1);
        }
    }
}
