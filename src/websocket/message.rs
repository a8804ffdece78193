//! Messages (RFC 6455 §5.4, §5.6), and their assembly from frames.
//!
//! Invariant: memory is allocated only for received bytes. A message larger than [`Limits::max_message_bytes`] is
//! rejected at the header that exceeds it.

use bytes::Bytes;
use tungstenite::Utf8Bytes;

use super::deflate::Deflaters;
use super::error::ProtocolError;
use super::frame::{Header, Opcode};
use super::limits::Limits;
use super::mask;
use super::utf8::Utf8;
use super::window::SlidingWindow;
use crate::memory;

/// A received message; clones share its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text, checked to be UTF-8.
    Text(Utf8Bytes),
    /// Bytes.
    Binary(Bytes),
}

/// A message to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'p> {
    /// Text.
    Text(&'p str),
    /// Bytes.
    Binary(&'p [u8]),
}

impl Message {
    /// Returns the payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text; `None` for a binary message.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            Self::Binary(_) => None,
        }
    }
}

impl<'p> Payload<'p> {
    /// Returns the payload.
    #[must_use]
    pub fn as_bytes(self) -> &'p [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    pub(super) fn opcode(self) -> Opcode {
        match self {
            Self::Text(_) => Opcode::Text,
            Self::Binary(_) => Opcode::Binary,
        }
    }
}

impl<'p> From<&'p Message> for Payload<'p> {
    fn from(message: &'p Message) -> Self {
        match message {
            Message::Text(text) => Self::Text(text),
            Message::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(Utf8Bytes::from(text))
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(Utf8Bytes::from(text))
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(bytes))
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(Bytes::from(bytes))
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl<'p> From<&'p str> for Payload<'p> {
    fn from(text: &'p str) -> Self {
        Self::Text(text)
    }
}

impl<'p> From<&'p [u8]> for Payload<'p> {
    fn from(bytes: &'p [u8]) -> Self {
        Self::Binary(bytes)
    }
}

/// A message that has begun, and the state of its current frame.
#[derive(Debug)]
pub(super) struct Assembly {
    is_text: bool,
    is_compressed: bool,
    fragments: u32,
    utf8: Utf8,
    payload: Vec<u8>,
    /// Whether the current frame is the last.
    is_final: bool,
    mask: Option<[u8; 4]>,
    frame_received: usize,
    frame_remaining: usize,
}

impl Assembly {
    /// Begins a message with the header of its first frame.
    pub(super) fn new(header: Header, limits: &Limits) -> Result<Self, ProtocolError> {
        if header.opcode == Opcode::Continuation {
            return Err(ProtocolError::ContinuationUnexpected);
        }
        let mut assembly = Self {
            is_text: header.opcode == Opcode::Text,
            is_compressed: header.is_compressed,
            fragments: 0,
            utf8: Utf8::default(),
            payload: Vec::new(),
            is_final: false,
            mask: None,
            frame_received: 0,
            frame_remaining: 0,
        };
        assembly.begin_frame(header, limits)?;
        Ok(assembly)
    }

    /// Continues with the header of a later frame.
    pub(super) fn continue_with(&mut self, header: Header, limits: &Limits) -> Result<(), ProtocolError> {
        if header.opcode != Opcode::Continuation {
            return Err(ProtocolError::ContinuationExpected);
        }
        self.begin_frame(header, limits)
    }

    /// Takes the frame's payload off the front of `input`, as far as it has arrived.
    pub(super) fn receive(&mut self, input: &mut &[u8]) -> Result<(), ProtocolError> {
        let (piece, rest) = input.split_at_checked(self.frame_remaining).unwrap_or((*input, &[]));
        *input = rest;
        let is_whole = self.is_final && self.payload.is_empty() && piece.len() == self.frame_remaining;
        let start = self.payload.len();
        // The last frame sets the length of the message, so the buffer grows no further.
        let bytes_max = if self.is_final {
            start.saturating_add(self.frame_remaining)
        } else {
            usize::MAX
        };
        memory::make_room_within(&mut self.payload, piece.len(), bytes_max)?;
        self.payload.extend_from_slice(piece);
        let piece = self.payload.get_mut(start..).unwrap_or_default();
        if let Some(key) = self.mask {
            mask::apply(piece, key, self.frame_received);
        }
        self.frame_received += piece.len();
        self.frame_remaining -= piece.len();
        // `finish` checks text that arrived in one piece, and compressed text once it is inflated.
        if self.is_text && !self.is_compressed && !is_whole {
            self.utf8.receive(piece).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        Ok(())
    }

    /// Whether the frame's payload is complete.
    pub(super) fn is_frame_complete(&self) -> bool {
        self.frame_remaining == 0
    }

    /// Payload bytes of the frame that have not arrived.
    pub(super) fn frame_remaining(&self) -> u64 {
        self.frame_remaining as u64
    }

    /// Whether the message is complete.
    pub(super) fn is_complete(&self) -> bool {
        self.is_final && self.is_frame_complete()
    }

    /// Makes the message.
    pub(super) fn finish(
        self,
        window: Option<&mut SlidingWindow>,
        deflaters: &mut Deflaters,
        limits: &Limits,
    ) -> Result<Message, ProtocolError> {
        let payload = if self.is_compressed {
            deflaters.inflate(&self.payload, window, limits.max_message_bytes)?
        } else {
            self.payload
        };
        if self.is_text {
            let text = String::from_utf8(payload).map_err(|_| ProtocolError::InvalidUtf8)?;
            Ok(Message::Text(Utf8Bytes::from(text)))
        } else {
            Ok(Message::Binary(Bytes::from(payload)))
        }
    }

    fn begin_frame(&mut self, header: Header, limits: &Limits) -> Result<(), ProtocolError> {
        if self.fragments >= limits.max_fragments {
            return Err(ProtocolError::TooManyFragments);
        }
        let frame_bytes = usize::try_from(header.payload_bytes).map_err(|_| ProtocolError::MessageTooBig)?;
        let total = self.payload.len().checked_add(frame_bytes);
        if total.is_none_or(|total| total > self.payload_bytes_max(limits)) {
            return Err(ProtocolError::MessageTooBig);
        }
        self.fragments += 1;
        self.is_final = header.is_final;
        self.mask = header.mask;
        self.frame_received = 0;
        self.frame_remaining = frame_bytes;
        Ok(())
    }

    /// Largest payload on the wire. Compression may enlarge a message, by 5 bytes for each stored block. Fixed codes of
    /// up to 9 bits a byte, as zlib-ng writes at level 1, enlarge it by an eighth.
    fn payload_bytes_max(&self, limits: &Limits) -> usize {
        let allowance = if self.is_compressed {
            limits.max_message_bytes / 8 + 64
        } else {
            0
        };
        limits.max_message_bytes.saturating_add(allowance)
    }
}
