//! The form in which a peer reads a message: plain, or deflated with a window of some size. Peers with the same
//! encoding share one frame.

use bytes::Bytes;
use tungstenite::Utf8Bytes;

use super::deflate::Deflaters;
use super::frame::{Header, Opcode, Rules};
use super::message::{Message, Payload};
use super::window_bits::WindowBits;

/// The form in which a peer reads messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// Plain messages only.
    Plain,
    /// Plain messages, and messages deflated within a window.
    Deflated {
        /// The peer's largest window.
        window: WindowBits,
        /// Smallest payload that is compressed, in bytes.
        min_compressed_bytes: usize,
    },
}

/// Makes one unmasked frame for every peer with this encoding, compressed without a dictionary if that makes it
/// smaller.
///
/// [`Connection::share`](super::Connection::share) returns the encoding of a connection.
#[must_use]
pub fn encode(payload: Payload<'_>, encoding: Encoding, deflaters: &mut Deflaters) -> Bytes {
    let bytes = payload.as_bytes();
    let mut frame = Vec::new();
    if let Encoding::Deflated {
        window,
        min_compressed_bytes,
    } = encoding
        && bytes.len() >= min_compressed_bytes
        && let Some(compressed) = deflaters.compress(bytes, window, None)
    {
        write(payload, true, compressed, &mut frame);
    } else {
        write(payload, false, bytes, &mut frame);
    }
    Bytes::from(frame)
}

/// Makes one compressed, unmasked frame, and returns the smallest window that reads it.
///
/// That window holds the whole message. `None` if the frame would be no smaller than a plain one.
#[must_use]
pub fn deflate(payload: Payload<'_>, deflaters: &mut Deflaters) -> Option<(WindowBits, Bytes)> {
    let bytes = payload.as_bytes();
    let compressed = deflaters.compress(bytes, WindowBits::MAX, None)?;
    let mut frame = Vec::new();
    write(payload, true, compressed, &mut frame);
    Some((WindowBits::holding(bytes.len()), Bytes::from(frame)))
}

/// Reads the message of one plain frame made by [`encode`], without a copy; `None` for any other bytes.
#[must_use]
pub fn decode(frame: &Bytes) -> Option<Message> {
    let rules = Rules {
        is_masked: false,
        may_compress: false,
    };
    let (header, header_bytes) = Header::parse(frame, rules).ok()??;
    if !header.is_final || (frame.len() - header_bytes) as u64 != header.payload_bytes {
        return None;
    }
    let payload = frame.slice(header_bytes..);
    match header.opcode {
        Opcode::Text => Utf8Bytes::try_from(payload).ok().map(Message::Text),
        Opcode::Binary => Some(Message::Binary(payload)),
        Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => None,
    }
}

fn write(payload: Payload<'_>, is_compressed: bool, bytes: &[u8], frame: &mut Vec<u8>) {
    let header = Header {
        opcode: payload.opcode(),
        is_final: true,
        is_compressed,
        mask: None,
        payload_bytes: bytes.len() as u64,
    };
    // The exact size, so that `Bytes::from` reuses the allocation.
    frame.reserve_exact(header.header_bytes() + bytes.len());
    header.write(frame);
    frame.extend_from_slice(bytes);
}
