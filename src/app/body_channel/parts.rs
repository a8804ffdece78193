//! What passes through the channel: how much content there is, why it stopped, and flushes.

use crate::error::{Error, HttpError};
use crate::memory::OutOfMemory;
use crate::message::{Headers, ResponseHead, StatusCode};

/// Most memory in bytes that an idle exchange keeps for content, in each direction. 64 KiB: the usual kernel buffer of
/// an HTTP/1 connection.
pub(in crate::app) const RETAINED_BYTES_MAX: usize = 64 * 1024;

/// How much content a request announces (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyLength {
    /// No content.
    #[default]
    Empty,
    /// The number in `Content-Length`.
    Known(u64),
    /// Chunked: the last chunk ends it.
    Unknown,
}

/// Why content stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The protocol refuses it: broken framing (400), or trailers beyond their limits (431).
    Refused {
        /// The status to answer with.
        status: StatusCode,
        /// What is wrong, for the client.
        reason: &'static str,
    },
    /// It came too slowly (408).
    TimedOut,
    /// It is longer than the limit (413).
    TooLarge,
    /// Memory is short (503).
    OutOfMemory,
    /// The peer has gone, so a response would be lost.
    PeerGone,
}

/// The bytes of one flush.
#[derive(Debug, Default)]
pub struct Flush {
    /// The head, in the first flush of a response.
    pub head: Option<ResponseHead>,
    /// Content.
    ///
    /// If it is empty, only the head is sent, and no chunk.
    pub data: Vec<u8>,
    /// The length of all content if it is known, beside a head only.
    pub content_length: Option<u64>,
    /// Whether the head opens a [`Tunnel`](crate::app::Tunnel), whose bytes follow in further flushes.
    pub opens_tunnel: bool,
    /// The end of the response, in the last flush of an [`ExchangeTask`](crate::app::ExchangeTask) only.
    pub end: Option<ResponseEnd>,
}

/// How a response ends behind the content of its last flush.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseEnd {
    /// It is complete.
    Complete {
        /// The trailer fields.
        trailers: Headers,
    },
    /// It is incomplete: end it so that the peer can tell that content is missing.
    BrokenOff,
}

/// The peer went before all was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerGone;

impl BodyError {
    /// The error that a handler receives.
    pub(in crate::app) fn into_error(self) -> Error {
        let (status, message) = match self {
            Self::PeerGone => return Error::peer_gone(),
            Self::OutOfMemory => return OutOfMemory.into(),
            Self::Refused { status, reason } => (status, reason),
            Self::TimedOut => (StatusCode::REQUEST_TIMEOUT, "the content came too slowly"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the content is too large"),
        };
        HttpError::new(status).with_message(message).into()
    }
}
