//! Errors by origin: [`ResponseError`] is the server's, [`RequestError`] the application's.

use core::fmt;

use crate::http1::error::ParseError;

/// Why a response was rejected.
///
/// Incomplete input is not an error. After any of these the connection cannot be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// The status line is malformed: the server speaks another protocol.
    StatusLine,
    /// A line ends in LF without CR.
    BareLineFeed,
    /// A field line is folded, has no colon, or contains forbidden bytes.
    FieldLine,
    /// The head is larger than the limit.
    HeadTooLarge,
    /// There are more field lines than the limit.
    TooManyFields,
    /// `101` answers a request that asked for no upgrade.
    UpgradeNotAsked,
    /// `Content-Length` is not a decimal number below 2⁶³, or there are two that differ.
    ContentLength,
    /// Both `Content-Length` and `Transfer-Encoding` are present.
    LengthAndCoding,
    /// `Transfer-Encoding` is not exactly one `chunked`, or the response is HTTP/1.0.
    TransferEncoding,
    /// A response that cannot have content announces some.
    ContentNotAllowed,
    /// The chunked coding or the trailer section is malformed or too large.
    Chunked(ParseError),
    /// The server closed the connection before the response was complete.
    Truncated,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::StatusLine => "the response does not begin with an HTTP/1 status line",
            Self::BareLineFeed => "a line of the response ends in LF without CR",
            Self::FieldLine => "a field line of the response is malformed",
            Self::HeadTooLarge => "the head of the response is larger than the limit",
            Self::TooManyFields => "the response has more fields than the limit",
            Self::UpgradeNotAsked => "the server changed to a protocol that the request did not ask for",
            Self::ContentLength => "the Content-Length of the response is not one decimal number",
            Self::LengthAndCoding => "the response has both Content-Length and Transfer-Encoding",
            Self::TransferEncoding => "the Transfer-Encoding of the response is not exactly `chunked`",
            Self::ContentNotAllowed => "the response has a status without content, and announces content",
            Self::Chunked(error) => return write!(formatter, "the chunked response is malformed: {}", error.reason()),
            Self::Truncated => "the server closed the connection before its response was complete",
        })
    }
}

impl core::error::Error for ResponseError {}

/// What the application did wrong when it sent a request.
///
/// Nothing was written. After a fault in the content the connection must be aborted, so that the server notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// The exchange before this request is not over.
    Busy,
    /// The request-target is empty or contains forbidden bytes.
    Target,
    /// The method is CONNECT, which makes a tunnel and no exchange.
    Connect,
    /// There is not exactly one `Host`.
    Host,
    /// The request asks for an upgrade, which this machine does not do.
    Upgrade,
    /// `Content-Length` is repeated or is not a decimal number.
    ContentLengthInvalid,
    /// `Content-Length` differs from the length of the content.
    ContentLengthMismatch,
    /// `Transfer-Encoding` was set to something other than `chunked`; the connection sets it itself.
    TransferEncodingSet,
    /// Content or an end was sent before a head.
    HeadNotSent,
    /// Content or an end was sent after the end.
    AlreadyEnded,
    /// There is more content than `Content-Length` promised; the surplus is not sent.
    BodyTooLong,
    /// There is less content than `Content-Length` promised.
    BodyTooShort,
    /// A trailer field that would change framing or routing (RFC 9110 §6.5.1).
    TrailerForbidden,
}

impl fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Busy => "the connection has an exchange already",
            Self::Target => "the request-target is empty or contains forbidden bytes",
            Self::Connect => "the method CONNECT belongs to proxies",
            Self::Host => "the request has not exactly one Host",
            Self::Upgrade => "the request asks for an upgrade",
            Self::ContentLengthInvalid => "the request's Content-Length is not one decimal number",
            Self::ContentLengthMismatch => "the request's Content-Length is not the length of its content",
            Self::TransferEncodingSet => "the request sets a Transfer-Encoding other than chunked",
            Self::HeadNotSent => "the head of the request has not been sent yet",
            Self::AlreadyEnded => "the request has been ended already",
            Self::BodyTooLong => "the request has more content than its Content-Length",
            Self::BodyTooShort => "the request has less content than its Content-Length",
            Self::TrailerForbidden => "a field of the trailer section is not allowed there",
        })
    }
}

impl core::error::Error for RequestError {}
