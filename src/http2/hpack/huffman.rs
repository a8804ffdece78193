//! Strings in the Huffman code of HPACK (RFC 7541 §5.2, Appendix B).
//!
//! The decoder is a state machine that reads four bits a step. A state is an inner node of the code's tree; 257 leaves
//! have 256 inner nodes, so a state fits a byte. No code is shorter than five bits, so a step gives at most one byte.

use super::error::DecodeError;
use super::huffman_code::{CODES, Code, EOS};
use crate::memory;

/// One step of the decoder.
#[derive(Debug, Clone, Copy)]
struct Step {
    next: u8,
    symbol: u8,
    flags: u8,
}

/// The step ends a code: `symbol` is a decoded byte.
const GIVES_SYMBOL: u8 = 1;
/// The step passes EOS, which no string may contain.
const PASSES_EOS: u8 = 2;
/// The string may end here: all bits since the last symbol are ones, and there are at most 7.
const MAY_END: u8 = 4;

/// Inner nodes of the code's tree.
const STATES: usize = 256;

/// Marks a child that is a leaf; the rest is its symbol.
const LEAF: u16 = 0x8000;

/// Longest padding in bits (RFC 7541 §5.2).
const PADDING_BITS_MAX: usize = 7;

static STEPS: [[Step; 16]; STATES] = steps();

static CODE_OF: [Code; 257] = CODES;

/// Appends the decoded string to `out`.
///
/// # Errors
///
/// The string is malformed, or memory is short. `out` then ends with a part of the string.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    // The shortest code has five bits.
    memory::make_room(out, input.len() * 8 / 5 + 1)?;
    let mut state = 0_u8;
    let mut flags = MAY_END;
    for &byte in input {
        for nibble in [byte >> 4, byte & 0x0f] {
            let row = STEPS.get(usize::from(state));
            let Some(step) = row.and_then(|row| row.get(usize::from(nibble))) else {
                return Err(DecodeError::Malformed);
            };
            if step.flags & GIVES_SYMBOL != 0 {
                out.push(step.symbol);
            } else if step.flags & PASSES_EOS != 0 {
                return Err(DecodeError::Malformed);
            }
            state = step.next;
            flags = step.flags;
        }
    }
    if flags & MAY_END == 0 {
        return Err(DecodeError::Malformed);
    }
    Ok(())
}

/// Returns the length of the encoded string in bytes.
pub(super) fn encoded_bytes(string: &[u8]) -> usize {
    let bits = string
        .iter()
        .fold(0_usize, |bits, &byte| bits + usize::from(code_of(byte).length));
    bits.div_ceil(8)
}

/// Appends the encoded string to `out`, padded with the beginning of EOS.
pub(super) fn encode(string: &[u8], out: &mut Vec<u8>) {
    let mut bits = 0_u64;
    let mut count = 0_u32;
    for &byte in string {
        let code = code_of(byte);
        bits = bits << code.length | u64::from(code.bits);
        count += u32::from(code.length);
        // A code has at most 30 bits, so fewer than 32 + 30 are ever held.
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&low_word(bits >> count).to_be_bytes());
        }
    }
    let padding = (8 - count % 8) % 8;
    bits = bits << padding | ((1 << padding) - 1);
    let bytes = low_word(bits).to_be_bytes();
    let used = ((count + padding) / 8) as usize;
    out.extend_from_slice(bytes.get(bytes.len() - used..).unwrap_or_default());
}

fn low_word(bits: u64) -> u32 {
    u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default()
}

fn code_of(byte: u8) -> Code {
    CODE_OF
        .get(usize::from(byte))
        .copied()
        .unwrap_or(Code { bits: 0, length: 0 })
}

/// Makes the decoder's table from the tree of all codes.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it runs in the compiler, which reports every index outside; states and symbols are below 256"
)]
const fn steps() -> [[Step; 16]; STATES] {
    let children = tree();
    let may_end = final_states(&children);
    let mut table = [[Step {
        next: 0,
        symbol: 0,
        flags: 0,
    }; 16]; STATES];
    let mut state = 0;
    while state < STATES {
        let mut nibble = 0;
        while nibble < 16 {
            let step = &mut table[state][nibble];
            let mut node = state;
            let mut bit = 4;
            while bit > 0 {
                bit -= 1;
                let child = children[node][(nibble >> bit) & 1];
                node = child as usize;
                if child & LEAF != 0 {
                    let symbol = (child & !LEAF) as usize;
                    if symbol == EOS {
                        step.flags |= PASSES_EOS;
                    } else {
                        step.symbol = symbol as u8;
                        step.flags |= GIVES_SYMBOL;
                    }
                    node = 0;
                }
            }
            step.next = node as u8;
            if may_end[node] {
                step.flags |= MAY_END;
            }
            nibble += 1;
        }
        state += 1;
    }
    table
}

/// Makes the tree: for each inner node its two children, each an inner node or a [`LEAF`].
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it runs in the compiler, which reports every index outside; there are 256 nodes and 257 symbols"
)]
const fn tree() -> [[u16; 2]; STATES] {
    let mut children = [[0_u16; 2]; STATES];
    let mut nodes = 1;
    let mut symbol = 0;
    while symbol < CODES.len() {
        let code = CODES[symbol];
        let mut node = 0;
        let mut left = code.length;
        while left > 0 {
            left -= 1;
            let side = ((code.bits >> left) & 1) as usize;
            if left == 0 {
                children[node][side] = LEAF | symbol as u16;
            } else {
                if children[node][side] == 0 {
                    children[node][side] = nodes;
                    nodes += 1;
                }
                node = children[node][side] as usize;
            }
        }
        symbol += 1;
    }
    children
}

/// Finds the states in which a string may end: the root, and what up to seven ones lead to.
#[expect(
    clippy::indexing_slicing,
    reason = "it runs in the compiler, which reports every index outside"
)]
const fn final_states(children: &[[u16; 2]; STATES]) -> [bool; STATES] {
    let mut may_end = [false; STATES];
    let mut node = 0;
    let mut ones = 0;
    while ones <= PADDING_BITS_MAX {
        may_end[node] = true;
        node = children[node][1] as usize;
        ones += 1;
    }
    may_end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        for length in [1, 2, 3, 5, 8, 64, 256] {
            for string in all.windows(length) {
                let mut encoded = Vec::new();
                encode(string, &mut encoded);
                assert_eq!(encoded.len(), encoded_bytes(string));
                assert_eq!(decoded(&encoded).as_deref(), Ok(string));
            }
        }
        assert_eq!(decoded(b""), Ok(Vec::new()));
    }

    /// The sum over all codes of 2^-length is 1, so the tree has no gap and no overlap.
    #[test]
    fn the_code_is_complete() {
        let sum: u64 = CODES.iter().map(|code| 1 << (32 - code.length)).sum();
        assert_eq!(sum, 1 << 32);
        assert_eq!((CODES[EOS].bits, CODES[EOS].length), (0x3fff_ffff, 30));
    }

    #[test]
    fn padding_is_at_most_seven_ones() {
        // `a` is 00011.
        assert_eq!(decoded(&[0b0001_1111]), Ok(b"a".to_vec()));
        assert_eq!(
            decoded(&[0b0001_1110]),
            Err(DecodeError::Malformed),
            "a zero in the padding"
        );
        assert_eq!(
            decoded(&[0b0001_1111, 0xff]),
            Err(DecodeError::Malformed),
            "11 bits of padding"
        );
        assert_eq!(decoded(&[0xff]), Err(DecodeError::Malformed), "8 bits of padding");
        // `&` is 11111000, so a byte may end exactly with its code.
        assert_eq!(decoded(&[0b1111_1000]), Ok(b"&".to_vec()));
    }

    #[test]
    fn the_end_of_string_symbol_is_refused() {
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(DecodeError::Malformed));
        assert_eq!(
            decoded(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Err(DecodeError::Malformed)
        );
    }
}
