//! Messages (RFC 6455 §5.4, §5.6): what an application receives and sends, and how one is put together from frames.
//!
//! Invariant: nothing is allocated for a byte that has not come, and a message that would exceed
//! [`Limits::message_bytes_max`] is refused by the header that says so.

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

/// A message as received. Its payload can be passed on to any number of receivers without a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text: UTF-8, and proved to be.
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
    /// The payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            Self::Binary(_) => None,
        }
    }
}

impl<'p> Payload<'p> {
    /// The payload, whatever its kind.
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

/// A message that has begun, and the frame of it that is being received.
#[derive(Debug)]
pub(super) struct Assembly {
    is_text: bool,
    is_compressed: bool,
    fragments: u32,
    utf8: Utf8,
    payload: Vec<u8>,
    /// Of the frame at hand.
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

    /// Goes on with the header of a later frame.
    pub(super) fn continue_with(&mut self, header: Header, limits: &Limits) -> Result<(), ProtocolError> {
        if header.opcode != Opcode::Continuation {
            return Err(ProtocolError::ContinuationExpected);
        }
        self.begin_frame(header, limits)
    }

    /// Takes what is there of the frame's payload off the front of `input`.
    pub(super) fn receive(&mut self, input: &mut &[u8]) -> Result<(), ProtocolError> {
        let (piece, rest) = input.split_at_checked(self.frame_remaining).unwrap_or((*input, &[]));
        *input = rest;
        let is_whole = self.is_final && self.payload.is_empty() && piece.len() == self.frame_remaining;
        let start = self.payload.len();
        // The last frame says how long the message is: it gets no more room than that.
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
        // A text that came in one piece is proved when it is finished; what is compressed, when it is inflated.
        if self.is_text && !self.is_compressed && !is_whole {
            self.utf8.receive(piece).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        Ok(())
    }

    /// Whether all of the frame's payload has come.
    pub(super) fn is_frame_complete(&self) -> bool {
        self.frame_remaining == 0
    }

    /// How many bytes of the frame's payload have not come.
    pub(super) fn frame_remaining(&self) -> u64 {
        self.frame_remaining as u64
    }

    /// Whether all of the message has come.
    pub(super) fn is_complete(&self) -> bool {
        self.is_final && self.is_frame_complete()
    }

    /// Makes the message of what has come.
    pub(super) fn finish(
        self,
        window: Option<&mut SlidingWindow>,
        deflaters: &mut Deflaters,
        limits: &Limits,
    ) -> Result<Message, ProtocolError> {
        let payload = if self.is_compressed {
            deflaters.inflate(&self.payload, window, limits.message_bytes_max)?
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
        if self.fragments >= limits.fragments_max {
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

    /// What does not compress grows when it is compressed: by five bytes for each block that is stored, and by an eighth where an encoder
    /// in a hurry writes fixed codes, of up to nine bits a byte, for all it gets, as zlib-ng does at its first level.
    fn payload_bytes_max(&self, limits: &Limits) -> usize {
        let allowance = if self.is_compressed {
            limits.message_bytes_max / 8 + 64
        } else {
            0
        };
        limits.message_bytes_max.saturating_add(allowance)
    }
}
