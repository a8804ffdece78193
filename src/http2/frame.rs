//! Frame headers, and the frames of a fixed form (RFC 9113 §4.1, §6).

use super::error::{ConnectionError, ErrorCode};
use super::window::WINDOW_MAX;

/// Length of a frame header in bytes.
pub const FRAME_HEADER_BYTES: usize = 9;

/// Largest payload that this machine accepts, and that every peer accepts: 16 KiB (RFC 9113 §4.2).
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// The types of frames.
pub(super) mod kind {
    pub(in crate::http2) const DATA: u8 = 0x0;
    pub(in crate::http2) const HEADERS: u8 = 0x1;
    pub(in crate::http2) const PRIORITY: u8 = 0x2;
    pub(in crate::http2) const RST_STREAM: u8 = 0x3;
    pub(in crate::http2) const SETTINGS: u8 = 0x4;
    pub(in crate::http2) const PUSH_PROMISE: u8 = 0x5;
    pub(in crate::http2) const PING: u8 = 0x6;
    pub(in crate::http2) const GOAWAY: u8 = 0x7;
    pub(in crate::http2) const WINDOW_UPDATE: u8 = 0x8;
    pub(in crate::http2) const CONTINUATION: u8 = 0x9;
    /// RFC 9218 §7.1.
    pub(in crate::http2) const PRIORITY_UPDATE: u8 = 0x10;
}

/// The flags of frames.
pub(super) mod flag {
    pub(in crate::http2) const END_STREAM: u8 = 0x1;
    pub(in crate::http2) const ACK: u8 = 0x1;
    pub(in crate::http2) const END_HEADERS: u8 = 0x4;
    pub(in crate::http2) const PADDED: u8 = 0x8;
    pub(in crate::http2) const PRIORITY: u8 = 0x20;
}

/// A frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// The stream, or 0 for the connection.
    pub(super) stream: u32,
}

impl FrameHeader {
    /// Reads the header in front of `input`; `None` while it is incomplete.
    #[inline]
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, d, e, f, g] = input.first_chunk::<FRAME_HEADER_BYTES>()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            // The first bit is reserved and ignored.
            stream: u32::from_be_bytes([d & 0x7f, e, f, g]),
        })
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Checks what a header alone shows, before any payload is awaited.
    pub(super) fn check(self) -> Result<(), ConnectionError> {
        if self.length > PAYLOAD_BYTES_MAX {
            return Err(ConnectionError::frame_size("a frame is longer than 16 KiB"));
        }
        let is_of_connection = match self.kind {
            kind::SETTINGS | kind::PING | kind::GOAWAY | kind::PRIORITY_UPDATE => true,
            kind::DATA
            | kind::HEADERS
            | kind::PRIORITY
            | kind::RST_STREAM
            | kind::PUSH_PROMISE
            | kind::CONTINUATION => false,
            _ => self.stream == 0,
        };
        if is_of_connection != (self.stream == 0) {
            return Err(ConnectionError::protocol(
                "a frame has a stream that its type does not allow",
            ));
        }
        let is_length_valid = match self.kind {
            kind::RST_STREAM | kind::WINDOW_UPDATE => self.length == 4,
            kind::PING => self.length == 8,
            kind::GOAWAY => self.length >= 8,
            kind::PRIORITY_UPDATE => self.length >= 4,
            kind::SETTINGS if self.has(flag::ACK) => self.length == 0,
            kind::SETTINGS => self.length.is_multiple_of(6),
            _ => true,
        };
        if is_length_valid {
            Ok(())
        } else {
            Err(ConnectionError::frame_size(
                "a frame has a length that its type does not allow",
            ))
        }
    }

    /// Returns the bytes of the header.
    pub(super) fn to_bytes(self) -> [u8; FRAME_HEADER_BYTES] {
        let [_, a, b, c] = u32::try_from(self.length).unwrap_or_default().to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }
}

/// Appends a frame.
pub(super) fn put(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader {
        length: payload.len(),
        kind,
        flags,
        stream,
    };
    out.extend_from_slice(&header.to_bytes());
    out.extend_from_slice(payload);
}

pub(super) fn put_reset(stream: u32, code: ErrorCode, out: &mut Vec<u8>) {
    put(kind::RST_STREAM, 0, stream, &code.0.to_be_bytes(), out);
}

/// Appends a WINDOW_UPDATE; `stream` 0 is the connection. An increment of 0 is not sent, because it would be an error.
pub(super) fn put_window_update(stream: u32, increment: i64, out: &mut Vec<u8>) {
    if let Ok(increment @ 1..) = u32::try_from(increment.min(WINDOW_MAX)) {
        put(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes(), out);
    }
}

pub(super) fn put_go_away(last_stream: u32, code: ErrorCode, reason: &str, out: &mut Vec<u8>) {
    let mut payload = last_stream.to_be_bytes().to_vec();
    payload.extend_from_slice(&code.0.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    put(kind::GOAWAY, 0, 0, &payload, out);
}

/// Reads the 32 bits at the front of a payload, without the first bit.
pub(super) fn number(payload: &[u8]) -> u32 {
    let bytes = payload.first_chunk::<4>().copied().unwrap_or_default();
    u32::from_be_bytes(bytes) & 0x7fff_ffff
}

/// Returns a payload without its padding (RFC 9113 §6.1).
///
/// # Errors
///
/// The padding is as long as the payload.
pub(super) fn without_padding(header: FrameHeader, payload: &[u8]) -> Result<&[u8], ConnectionError> {
    if !header.has(flag::PADDED) {
        return Ok(payload);
    }
    let (&padding, rest) = payload.split_first().ok_or(ConnectionError::frame_size(
        "a padded frame has no length of its padding",
    ))?;
    let content = rest.len().checked_sub(usize::from(padding));
    content
        .and_then(|content| rest.get(..content))
        .ok_or(ConnectionError::protocol("the padding is longer than its frame"))
}
