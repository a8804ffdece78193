//! Errors after the handshake: [`ProtocolError`] is the peer's fault, [`SendError`] the application's, [`Expired`] a
//! missed deadline.

use core::fmt;

use crate::memory::OutOfMemory;
use crate::message::CloseCode;

/// Why the connection failed (RFC 6455 §7.1.7).
///
/// Nothing more is received. [`send_pending_control`](super::Connection::send_pending_control) writes a close frame
/// with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set that the negotiated extensions do not define, or not in this frame.
    ReservedBit,
    /// The opcode is one of 3–7 and B–F.
    ReservedOpcode,
    /// The length is not written in the fewest bytes, or is 2⁶³ or more.
    PayloadLength,
    /// A client's frame is not masked.
    MaskMissing,
    /// A server's frame is masked.
    MaskForbidden,
    /// A control frame is fragmented.
    ControlFragmented,
    /// A control frame has more than 125 bytes of payload.
    ControlTooLong,
    /// A continuation came before the first frame of a message.
    ContinuationUnexpected,
    /// A message began before the previous one had ended.
    ContinuationExpected,
    /// A close frame's payload is a single byte.
    CloseTruncated,
    /// A close frame's code is reserved or unassigned.
    CloseCode,
    /// A text, or the reason of a close frame, is not UTF-8.
    InvalidUtf8,
    /// A compressed message does not inflate.
    InvalidDeflate,
    /// A message is larger than [`Limits::max_message_bytes`](super::Limits::max_message_bytes).
    MessageTooBig,
    /// A message has more frames than [`Limits::max_fragments`](super::Limits::max_fragments).
    TooManyFragments,
    /// More pings came than [`Limits::max_unread_pings`](super::Limits::max_unread_pings) before a pong could be sent.
    TooManyPings,
    /// Memory is short; the peer may have done nothing wrong.
    OutOfMemory,
    /// The transport ended without a close frame, which applications know as 1006.
    Truncated,
}

impl ProtocolError {
    /// Returns the code for the peer's close frame.
    #[must_use]
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::ReservedBit
            | Self::ReservedOpcode
            | Self::PayloadLength
            | Self::MaskMissing
            | Self::MaskForbidden
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::ContinuationUnexpected
            | Self::ContinuationExpected
            | Self::CloseTruncated
            | Self::CloseCode
            | Self::Truncated => CloseCode::PROTOCOL_ERROR,
            Self::InvalidUtf8 | Self::InvalidDeflate => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments | Self::TooManyPings => CloseCode::POLICY_VIOLATION,
            Self::OutOfMemory => CloseCode::TRY_AGAIN_LATER,
        }
    }
}

impl From<OutOfMemory> for ProtocolError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ReservedBit => "a reserved bit is set",
            Self::ReservedOpcode => "the opcode is reserved",
            Self::PayloadLength => "the payload length is not minimal",
            Self::MaskMissing => "a client's frame is not masked",
            Self::MaskForbidden => "a server's frame is masked",
            Self::ControlFragmented => "a control frame is fragmented",
            Self::ControlTooLong => "a control frame is longer than 125 bytes",
            Self::ContinuationUnexpected => "a continuation came before a first frame",
            Self::ContinuationExpected => "the message before has not ended",
            Self::CloseTruncated => "the close code is cut off",
            Self::CloseCode => "the close code may not be sent",
            Self::InvalidUtf8 => "the text is not UTF-8",
            Self::InvalidDeflate => "the message does not inflate",
            Self::MessageTooBig => "the message is too big",
            Self::TooManyFragments => "the message has too many fragments",
            Self::TooManyPings => "too many pings",
            Self::OutOfMemory => "memory is short for the message",
            Self::Truncated => "the transport ended without a close frame",
        })
    }
}

impl core::error::Error for ProtocolError {}

/// Why something was not sent, usually a fault of the application.
///
/// The failed call has written nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closed, or a close frame is pending or sent (Tornado's `WebSocketClosedError`).
    Closed,
    /// The payload of a ping is longer than 125 bytes.
    ControlTooLong,
    /// The code may not stand in a close frame (1004–1006, 1015 and unassigned codes).
    CloseCode(u16),
    /// The reason of a close frame is longer than 123 bytes.
    ReasonTooLong,
    /// A client cannot send shared frames, because it masks each frame with a key of its own.
    MaskRequired,
    /// [`OUTGOING_BYTES_MAX`](super::OUTGOING_BYTES_MAX) bytes or more wait for the peer.
    Full,
    /// Memory is short. The connection continues.
    OutOfMemory,
}

impl From<OutOfMemory> for SendError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Closed => "could not send: the WebSocket is closed",
            Self::ControlTooLong => "could not send the ping: its payload is too long; send at most 125 bytes",
            Self::CloseCode(code) => {
                return write!(
                    formatter,
                    "could not close with code {code}: it may not be sent; use 1000 or 3000 to 4999"
                );
            }
            Self::ReasonTooLong => "could not close: the reason is too long; send at most 123 bytes",
            Self::MaskRequired => "could not send: a client cannot send shared frames; send the message",
            Self::Full => "could not send: the output is full because the peer reads too slowly; use `send` to wait",
            Self::OutOfMemory => "could not send: memory is short; retry later",
        })
    }
}

impl core::error::Error for SendError {}

/// The deadline that the peer missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expired {
    /// The peer sent nothing after a ping. A close frame with 1011 is pending.
    Pong,
    /// The peer did not answer a close frame or did not close the transport; abort the transport.
    Close,
}
