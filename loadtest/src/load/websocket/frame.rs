//! Frames on the wire (RFC 6455 section 5.2): parses and checks a server's headers, and writes masked client frames.
//!
//! The generator has its own codec to read frames in place, without an allocation per frame, and to report each
//! violation of a server.

use std::fmt;

/// The longest payload of a control frame (section 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

const FINAL: u8 = 0x80;
/// Set on the first frame of a message that permessage-deflate compressed (RFC 7692, section 6).
const COMPRESSED: u8 = 0x40;

const RESERVED: u8 = 0x30;
const MASKED: u8 = 0x80;

/// The opcode of a frame (section 11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Opcode {
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }
}

/// A server frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) is_final: bool,
    pub(crate) opcode: Opcode,
    pub(crate) is_compressed: bool,
    pub(crate) header_bytes: usize,
    pub(crate) payload_bytes: u64,
}

impl Header {
    /// Parses the header at the start of `bytes`; returns `None` if it is incomplete.
    ///
    /// # Errors
    ///
    /// A violation that no negotiated extension allows.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, Violation> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & RESERVED != 0 {
            return Err(Violation::ReservedBits);
        }
        if second & MASKED != 0 {
            return Err(Violation::Masked);
        }
        let opcode = Opcode::from_bits(first & 0x0F).ok_or_else(|| Violation::UnknownOpcode(first & 0x0F))?;
        let (length_bytes, payload_bytes) = match second & !MASKED {
            126 => match rest.first_chunk() {
                Some(length) => (2, u64::from(u16::from_be_bytes(*length))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(length) => (8, u64::from_be_bytes(*length)),
                None => return Ok(None),
            },
            short => (0, u64::from(short)),
        };
        let is_minimal = match length_bytes {
            2 => payload_bytes > 125,
            8 => payload_bytes > 0xFFFF && payload_bytes <= i64::MAX as u64,
            _ => true,
        };
        if !is_minimal {
            return Err(Violation::Length);
        }
        let (is_final, is_compressed) = (first & FINAL != 0, first & COMPRESSED != 0);
        if is_compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(Violation::ReservedBits);
        }
        if opcode.is_control() && (!is_final || payload_bytes > CONTROL_BYTES_MAX) {
            return Err(Violation::Control);
        }
        Ok(Some(Self {
            is_final,
            opcode,
            is_compressed,
            header_bytes: 2 + length_bytes,
            payload_bytes,
        }))
    }
}

/// Appends one final frame, masked with `mask` as a client's must be (section 5.3).
pub(crate) fn write_masked(opcode: Opcode, payload: &[u8], mask: [u8; 4], output: &mut Vec<u8>) {
    output.push(FINAL | opcode as u8);
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => output.push(MASKED | short),
        (_, Ok(length)) => {
            output.push(MASKED | 126);
            output.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            output.push(MASKED | 127);
            output.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    output.extend_from_slice(&mask);
    let begin = output.len();
    output.extend_from_slice(payload);
    if let Some(payload) = output.get_mut(begin..) {
        apply_mask(payload, mask);
    }
}

fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = [a, b, c, d, a, b, c, d];
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ u64::from_ne_bytes(wide)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(wide) {
        *byte ^= mask;
    }
}

/// A violation of RFC 6455 by the server, or a message longer than the run allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    ReservedBits,
    Masked,
    UnknownOpcode(u8),
    Length,
    Control,
    StrayContinuation,
    UnfinishedMessage,
    TooLong { message_bytes_max: usize },
    CloseCode,
    Deflate,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => write!(
                formatter,
                "a frame has reserved bits set without a negotiated extension"
            ),
            Self::Masked => write!(formatter, "a frame from the server is masked"),
            Self::UnknownOpcode(opcode) => write!(formatter, "a frame has the unknown opcode {opcode:#x}"),
            Self::Length => write!(formatter, "a frame's length is not in its shortest form"),
            Self::Control => write!(
                formatter,
                "a control frame is fragmented or longer than {CONTROL_BYTES_MAX} bytes"
            ),
            Self::StrayContinuation => write!(formatter, "a continuation frame follows no unfinished message"),
            Self::UnfinishedMessage => write!(formatter, "a message begins before the fragmented one has ended"),
            Self::TooLong { message_bytes_max } => {
                write!(
                    formatter,
                    "a message is longer than the {message_bytes_max} bytes that were sent"
                )
            }
            Self::CloseCode => write!(formatter, "a close frame carries half a close code"),
            Self::Deflate => write!(
                formatter,
                "a compressed message is invalid DEFLATE or inflates beyond the length limit"
            ),
        }
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_parsed_once_complete() {
        let header = |is_final, opcode, header_bytes, payload_bytes| Header {
            is_final,
            opcode,
            is_compressed: false,
            header_bytes,
            payload_bytes,
        };
        for (bytes, expected) in [
            (&[0x81, 0][..], header(true, Opcode::Text, 2, 0)),
            (&[0x02, 125], header(false, Opcode::Binary, 2, 125)),
            (&[0x80, 126, 0, 126], header(true, Opcode::Continuation, 4, 126)),
            (&[0x82, 126, 0xFF, 0xFF], header(true, Opcode::Binary, 4, 0xFFFF)),
            (
                &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0],
                header(true, Opcode::Binary, 10, 0x1_0000),
            ),
            (&[0x88, 2], header(true, Opcode::Close, 2, 2)),
            (&[0x89, 125], header(true, Opcode::Ping, 2, 125)),
            (&[0x8A, 0], header(true, Opcode::Pong, 2, 0)),
        ] {
            for end in 0..bytes.len() {
                assert_eq!(Header::parse(&bytes[..end]), Ok(None), "{bytes:x?} cut at {end}");
            }
            assert_eq!(Header::parse(bytes), Ok(Some(expected)), "{bytes:x?}");
        }
    }

    #[test]
    fn violations_of_a_server_are_named() {
        for (bytes, expected) in [
            (&[0xC0, 0][..], Violation::ReservedBits),
            (&[0xC9, 0], Violation::ReservedBits),
            (&[0xA2, 0], Violation::ReservedBits),
            (&[0x92, 0], Violation::ReservedBits),
            (&[0x81, 0x80], Violation::Masked),
            (&[0x83, 0], Violation::UnknownOpcode(3)),
            (&[0x8B, 0], Violation::UnknownOpcode(0xB)),
            (&[0x82, 126, 0, 125], Violation::Length),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], Violation::Length),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Violation::Length),
            (&[0x08, 0], Violation::Control),
            (&[0x89, 126, 0, 126], Violation::Control),
        ] {
            assert_eq!(Header::parse(bytes), Err(expected), "{bytes:x?}");
        }
    }

    #[test]
    fn masked_example_of_rfc_6455_is_written() {
        let mut written = Vec::new();
        write_masked(Opcode::Text, b"Hello", [0x37, 0xFA, 0x21, 0x3D], &mut written);
        assert_eq!(
            written,
            [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
        );
    }

    #[test]
    fn lengths_are_written_in_their_shortest_form_and_unmask_to_the_payload() {
        let mask = [1, 2, 3, 4];
        for (length, head) in [
            (0, &[0x82, 0x80][..]),
            (125, &[0x82, 0xFD]),
            (126, &[0x82, 0xFE, 0, 126]),
            (0xFFFF, &[0x82, 0xFE, 0xFF, 0xFF]),
            (0x1_0000, &[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload: Vec<u8> = (0..length).map(|index: usize| index.to_le_bytes()[0]).collect();
            let mut written = Vec::new();
            write_masked(Opcode::Binary, &payload, mask, &mut written);
            let masked = written.strip_prefix(head).unwrap().strip_prefix(&mask).unwrap();
            let unmasked: Vec<u8> = masked
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect();
            assert_eq!(unmasked, payload, "{length} bytes");
        }
    }
}
