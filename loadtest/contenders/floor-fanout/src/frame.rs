//! Frames (RFC 6455 section 5): client frames are unmasked in place, server frames are written.
//!
//! Each message is one frame; fragments and extensions, which no workload sends, are rejected.

/// The longest payload.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

pub enum FrameOutcome<'a> {
    /// A complete frame of `frame_bytes` bytes.
    Frame {
        frame_bytes: usize,
        opcode: u8,
        payload: &'a [u8],
    },
    /// The frame is incomplete.
    Incomplete,
    Refused,
}

/// Reads the frame at the start of `bytes`.
pub fn next_frame(bytes: &mut [u8]) -> FrameOutcome<'_> {
    let [first, second, ..] = *bytes else {
        return FrameOutcome::Incomplete;
    };
    let opcode = first & 0x0F;
    let known = matches!(opcode, 0x1 | 0x2 | CLOSE | PING | PONG);
    if first & 0xF0 != FINAL || !known || second & MASKED == 0 {
        return FrameOutcome::Refused;
    }
    let (length_end, payload_bytes) = match second & 0x7F {
        126 => match bytes.get(2..4) {
            Some(length) => (4, usize::from(u16::from_be_bytes([length[0], length[1]]))),
            None => return FrameOutcome::Incomplete,
        },
        127 => match bytes.get(2..10).and_then(|length| length.try_into().ok()) {
            Some(length) => (10, usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX)),
            None => return FrameOutcome::Incomplete,
        },
        short => (2, usize::from(short)),
    };
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return FrameOutcome::Refused;
    }
    let payload_begin = length_end + 4;
    let frame_bytes = payload_begin + payload_bytes;
    if bytes.len() < frame_bytes {
        return FrameOutcome::Incomplete;
    }
    let (head, payload) = bytes[..frame_bytes].split_at_mut(payload_begin);
    let key = [
        head[length_end],
        head[length_end + 1],
        head[length_end + 2],
        head[length_end + 3],
    ];
    unmask(payload, key);
    FrameOutcome::Frame {
        frame_bytes,
        opcode,
        payload,
    }
}

/// Appends one unmasked, final frame.
pub fn encode(opcode: u8, payload: &[u8], output: &mut Vec<u8>) {
    output.push(FINAL | opcode);
    match payload.len() {
        length @ 0..=125 => output.push(length as u8),
        length @ 126..=0xFFFF => {
            output.push(126);
            output.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            output.push(127);
            output.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    output.extend_from_slice(payload);
}

fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
    }
}
