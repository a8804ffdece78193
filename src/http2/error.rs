//! Errors by origin: [`ConnectionError`] and [`ErrorCode`] are the peer's, [`SendError`] the application's, [`Expired`] a
//! peer that was too slow. All are small values.

use core::fmt;

use super::key::StreamKey;
use crate::memory::OutOfMemory;

/// A code of RST_STREAM and GOAWAY (RFC 9113 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// The connection or the stream ends as it should.
    pub const NO_ERROR: Self = Self(0x00);
    /// The peer broke a rule that has no code of its own.
    pub const PROTOCOL_ERROR: Self = Self(0x01);
    /// The endpoint failed.
    pub const INTERNAL_ERROR: Self = Self(0x02);
    /// The peer exceeded a window, or raised one beyond 2³¹ − 1.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x03);
    /// The peer did not acknowledge settings in time.
    pub const SETTINGS_TIMEOUT: Self = Self(0x04);
    /// A frame came for a stream that the peer had ended.
    pub const STREAM_CLOSED: Self = Self(0x05);
    /// A frame has a length that its type does not allow.
    pub const FRAME_SIZE_ERROR: Self = Self(0x06);
    /// The stream was refused before any work was done; the request can be sent again.
    pub const REFUSED_STREAM: Self = Self(0x07);
    /// The peer does not need the stream any more.
    pub const CANCEL: Self = Self(0x08);
    /// The peer's header block cannot be decoded.
    pub const COMPRESSION_ERROR: Self = Self(0x09);
    /// The connection of a CONNECT was reset or ended abnormally.
    pub const CONNECT_ERROR: Self = Self(0x0a);
    /// The peer causes too much work.
    pub const ENHANCE_YOUR_CALM: Self = Self(0x0b);
}

/// Why a connection ends: the peer broke a rule after which the rest has no meaning, or exceeded a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionError {
    /// The code of the GOAWAY.
    pub code: ErrorCode,
    /// What is wrong; the GOAWAY carries it as debug data.
    pub reason: &'static str,
}

impl ConnectionError {
    pub(super) const fn new(code: ErrorCode, reason: &'static str) -> Self {
        Self { code, reason }
    }

    pub(super) const fn protocol(reason: &'static str) -> Self {
        Self::new(ErrorCode::PROTOCOL_ERROR, reason)
    }

    pub(super) const fn frame_size(reason: &'static str) -> Self {
        Self::new(ErrorCode::FRAME_SIZE_ERROR, reason)
    }

    pub(super) const fn flow_control(reason: &'static str) -> Self {
        Self::new(ErrorCode::FLOW_CONTROL_ERROR, reason)
    }

    pub(super) const fn calm(reason: &'static str) -> Self {
        Self::new(ErrorCode::ENHANCE_YOUR_CALM, reason)
    }
}

impl From<OutOfMemory> for ConnectionError {
    fn from(_: OutOfMemory) -> Self {
        Self::new(ErrorCode::INTERNAL_ERROR, "memory is short")
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason)
    }
}

impl core::error::Error for ConnectionError {}

/// What the application did wrong while sending.
///
/// The failed call has written nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// The head of the final response has been sent already.
    HeadAlreadySent,
    /// Content or an end was sent before a head.
    HeadNotSent,
    /// `Content-Length` is repeated or is not a decimal number.
    ContentLengthInvalid,
    /// `Content-Length` differs from the length of the content.
    ContentLengthMismatch,
    /// There is more content than `Content-Length` promised; the surplus is not sent.
    BodyTooLong,
    /// There is less content than `Content-Length` promised; the stream must be reset so that the peer notices.
    BodyTooShort,
    /// `101` was sent, which HTTP/2 does not have (RFC 9113 §8.6).
    UpgradeNotAsked,
    /// A CONNECT was answered as successful without a tunnel, so its client would take content for the tunnel's bytes.
    TunnelNotOpened,
    /// A trailer field that would change framing or routing (RFC 9110 §6.5.1).
    TrailerForbidden,
    /// Memory for the head is short.
    OutOfMemory,
    /// No further stream may be opened: the peer's limit is reached, or it goes away.
    NoStream,
}

impl From<OutOfMemory> for SendError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HeadAlreadySent => "the head of the response has been sent already",
            Self::HeadNotSent => "the head of the response has not been sent yet",
            Self::ContentLengthInvalid => "the response's Content-Length is not one decimal number",
            Self::ContentLengthMismatch => "the response's Content-Length is not the length of its content",
            Self::BodyTooLong => "the response has more content than its Content-Length",
            Self::BodyTooShort => "the response has less content than its Content-Length",
            Self::UpgradeNotAsked => "101 was sent, which HTTP/2 does not have",
            Self::TunnelNotOpened => "a CONNECT for a WebSocket was answered with a page, whose status must not be 2xx",
            Self::TrailerForbidden => "a field of the trailer section is not allowed there",
            Self::OutOfMemory => "memory for the head of the response is short",
            Self::NoStream => "the peer accepts no further stream",
        })
    }
}

impl core::error::Error for SendError {}

/// What happened at a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// The connection was idle; its last GOAWAY was written.
    Idle,
    /// The peer sent a frame too late, or took no content for too long; the last GOAWAY was written.
    Connection(ConnectionError),
    /// The peer takes too little of a stream, which was reset.
    Stream(StreamKey),
    /// The content of a request stopped, or comes too slowly: answer 408 if no response has begun.
    Content(StreamKey),
    /// The time for crossing requests is over; the GOAWAY that names the last stream was written.
    GoneAway,
}
