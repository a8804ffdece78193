//! Errors by origin: [`ParseError`] is the peer's, [`SendError`] the application's, [`Expired`] a peer that was too
//! slow. All three are small values; one `match` decides which status the peer receives.

use core::fmt;

use http::StatusCode;

use crate::memory::OutOfMemory;

/// Why a request was rejected.
///
/// Incomplete input is not an error; it is [`Event::NeedData`](super::Event::NeedData).
///
/// After any of these the connection cannot be used again, because the start of the next request is unknown (RFC 9112
/// §9.3, §11.2). Answer with [`status`](Self::status) if no response has begun, then close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseError {
    /// A line ends in LF without CR.
    BareLineFeed,
    /// The request-line is not a method, a request-target and a version separated by single spaces.
    RequestLine,
    /// The method is not a token.
    Method,
    /// The method is longer than every method this server could implement.
    MethodTooLong,
    /// CONNECT asks for a tunnel; this server is not a proxy.
    ConnectUnsupported,
    /// The request-target has a form this method does not allow, or contains forbidden bytes.
    Target,
    /// The major version is not 1.
    VersionUnsupported,
    /// The request-target is longer than [`Limits::max_target_bytes`](super::Limits::max_target_bytes).
    TargetTooLong,
    /// The head is larger than [`Limits::max_header_bytes`](super::Limits::max_header_bytes).
    HeadTooLarge,
    /// There are more field lines than [`Limits::max_header_count`](super::Limits::max_header_count).
    TooManyFields,
    /// A field name is longer than [`Limits::max_header_name_bytes`](super::Limits::max_header_name_bytes).
    FieldNameTooLong,
    /// A field line begins with a blank, which continues the previous line in obsolete syntax.
    FoldedField,
    /// A field line has no colon.
    FieldLine,
    /// A field name is not a token.
    FieldName,
    /// A field value contains a control character.
    FieldValue,
    /// An HTTP/1.1 request has no `Host`.
    HostMissing,
    /// There is more than one `Host`.
    HostRepeated,
    /// `Host` is not a host with an optional port.
    HostInvalid,
    /// `Content-Length` is not a decimal number below 2⁶³.
    ContentLength,
    /// There is more than one `Content-Length`.
    ContentLengthRepeated,
    /// Both `Content-Length` and `Transfer-Encoding` are present.
    LengthAndCoding,
    /// `Transfer-Encoding` is not exactly one `chunked`.
    TransferEncoding,
    /// `Transfer-Encoding` names codings besides `chunked` that this server does not implement.
    TransferCodingUnsupported,
    /// An HTTP/1.0 request has a `Transfer-Encoding`.
    TransferEncodingInHttp10,
    /// `Expect` asks for something other than `100-continue`.
    Expectation,
    /// A chunk size is not one to sixteen hexadecimal digits below 2⁶³.
    ChunkSize,
    /// A chunk extension contains a control character, or its line ends inside a quoted string.
    ChunkExtension,
    /// Chunk extensions exceed [`Limits::max_chunk_extension_bytes`](super::Limits::max_chunk_extension_bytes).
    ChunkExtensionsTooLarge,
    /// A chunk's data is not followed by CRLF.
    ChunkEnd,
    /// The trailer section is larger than [`Limits::max_trailer_bytes`](super::Limits::max_trailer_bytes).
    TrailersTooLarge,
    /// There are more trailer fields than [`Limits::max_trailer_count`](super::Limits::max_trailer_count).
    TooManyTrailers,
    /// A trailer field's value is a request-line, which marks a smuggled request.
    TrailerRequestLine,
    /// The peer stopped sending in the middle of a request.
    Truncated,
    /// The head does not fit the free memory; the peer may have done nothing wrong.
    OutOfMemory,
}

impl ParseError {
    /// Returns the status to answer with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge
            | Self::TooManyFields
            | Self::FieldNameTooLong
            | Self::TrailersTooLarge
            | Self::TooManyTrailers => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::MethodTooLong | Self::ConnectUnsupported | Self::TransferCodingUnsupported => {
                StatusCode::NOT_IMPLEMENTED
            }
            Self::VersionUnsupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::OutOfMemory => StatusCode::SERVICE_UNAVAILABLE,
            Self::BareLineFeed
            | Self::RequestLine
            | Self::Method
            | Self::Target
            | Self::FoldedField
            | Self::FieldLine
            | Self::FieldName
            | Self::FieldValue
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::ContentLength
            | Self::ContentLengthRepeated
            | Self::LengthAndCoding
            | Self::TransferEncoding
            | Self::TransferEncodingInHttp10
            | Self::ChunkSize
            | Self::ChunkExtension
            | Self::ChunkExtensionsTooLarge
            | Self::ChunkEnd
            | Self::TrailerRequestLine
            | Self::Truncated => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<OutOfMemory> for ParseError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl ParseError {
    /// Returns what is wrong, for the client.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BareLineFeed => "a line ends in LF without CR",
            Self::RequestLine => "the request-line is not a method, a target and a version separated by single spaces",
            Self::Method => "the method is not a token",
            Self::MethodTooLong => "the method is longer than every method this server knows",
            Self::ConnectUnsupported => "CONNECT is not supported: this server is not a proxy",
            Self::Target => "the request-target is malformed",
            Self::VersionUnsupported => "the major version of HTTP is not 1",
            Self::TargetTooLong => "the request-target is too long",
            Self::HeadTooLarge => "the head of the request is too large",
            Self::TooManyFields => "the request has too many fields",
            Self::FieldNameTooLong => "a field name is too long",
            Self::FoldedField => "a field line begins with a blank",
            Self::FieldLine => "a field line has no colon",
            Self::FieldName => "a field name is not a token",
            Self::FieldValue => "a field value contains a control character",
            Self::HostMissing => "the request has no Host",
            Self::HostRepeated => "the request has more than one Host",
            Self::HostInvalid => "Host is not a host with an optional port",
            Self::ContentLength => "Content-Length is not a decimal number",
            Self::ContentLengthRepeated => "the request has more than one Content-Length",
            Self::LengthAndCoding => "the request has both Content-Length and Transfer-Encoding",
            Self::TransferEncoding => "Transfer-Encoding is not exactly `chunked`",
            Self::TransferCodingUnsupported => "Transfer-Encoding names a coding this server does not implement",
            Self::TransferEncodingInHttp10 => "HTTP/1.0 has no Transfer-Encoding",
            Self::Expectation => "Expect asks for something other than 100-continue",
            Self::ChunkSize => "a chunk size is not a hexadecimal number",
            Self::ChunkExtension => "a chunk extension is malformed",
            Self::ChunkExtensionsTooLarge => "the chunk extensions are too large",
            Self::ChunkEnd => "the data of a chunk is not followed by CRLF",
            Self::TrailersTooLarge => "the trailer section is too large",
            Self::TooManyTrailers => "the request has too many trailer fields",
            Self::TrailerRequestLine => "the value of a trailer field is a request-line",
            Self::Truncated => "the peer stopped sending before the request was complete",
            Self::OutOfMemory => "not enough memory for this request",
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl core::error::Error for ParseError {}

/// What the application did wrong while responding.
///
/// The failed call has written nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// No request waits for a response.
    NoRequest,
    /// The head of the final response has been sent already.
    HeadAlreadySent,
    /// Content or an end was sent before a head.
    HeadNotSent,
    /// Content or an end was sent after the end.
    AlreadyEnded,
    /// `Content-Length` is repeated or is not a decimal number.
    ContentLengthInvalid,
    /// `Content-Length` differs from the length of the content.
    ContentLengthMismatch,
    /// There is more content than `Content-Length` promised; the surplus is not sent.
    BodyTooLong,
    /// There is less content than `Content-Length` promised; the connection must be aborted so that the peer notices.
    BodyTooShort,
    /// `Transfer-Encoding` was set to something other than `chunked`; the connection sets it itself.
    TransferEncodingSet,
    /// `101` was sent to a request that offers no upgrade, or before its content was received.
    UpgradeNotAsked,
    /// A trailer field that would change framing or routing (RFC 9110 §6.5.1).
    TrailerForbidden,
}

impl fmt::Display for SendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoRequest => "no request waits for a response",
            Self::HeadAlreadySent => "the head of the response has been sent already",
            Self::HeadNotSent => "the head of the response has not been sent yet",
            Self::AlreadyEnded => "the response has been ended already",
            Self::ContentLengthInvalid => "the response's Content-Length is not one decimal number",
            Self::ContentLengthMismatch => "the response's Content-Length is not the length of its content",
            Self::BodyTooLong => "the response has more content than its Content-Length",
            Self::BodyTooShort => "the response has less content than its Content-Length",
            Self::TransferEncodingSet => "the response sets a Transfer-Encoding other than chunked",
            Self::UpgradeNotAsked => "101 was sent to a request that does not ask for an upgrade",
            Self::TrailerForbidden => "a field of the trailer section is not allowed there",
        })
    }
}

impl core::error::Error for SendError {}

/// What the peer did not do in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expired {
    /// No request has begun; close without a response.
    Idle,
    /// A head has begun and did not end.
    Head,
    /// Content stopped or arrived too slowly.
    Body,
    /// Discarded content did not end; the response has been sent, so close.
    Drain,
}

impl Expired {
    /// Returns the status to answer with, if any; useful only while no response has begun.
    #[must_use]
    pub fn status(self) -> Option<StatusCode> {
        match self {
            Self::Head | Self::Body => Some(StatusCode::REQUEST_TIMEOUT),
            Self::Idle | Self::Drain => None,
        }
    }
}
