//! The encoder of response heads: one pass into the caller's buffer, without allocating (RFC 9112 §4, §5, §6).
//!
//! The connection writes all framing. Fields of the application named `Connection`, `Transfer-Encoding` and
//! `Content-Length` are read but never copied, and one line of each is written where needed. So the bytes sent cannot
//! contradict what the connection does afterwards.

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::error::SendError;
use super::grammar;
use super::version::MinorVersion;
pub(super) use crate::message::is_trailer_allowed;
use crate::message::{HttpDate, ResponseHead};

/// The length of the content an application is about to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// Exactly this many bytes.
    Known(u64),
    /// Unknown: chunked, or until the connection closes for an HTTP/1.0 peer.
    Unknown,
}

/// How the content of a response is delimited on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseContent {
    /// No content: what the application sends is dropped (RFC 9110 §6.4.1).
    None,
    /// This many bytes are still to come.
    Length(u64),
    Chunked {
        /// How many leading zeros of a chunk-size were sent as probes, to test whether the peer still reads.
        probes: u8,
    },
    UntilClose,
}

/// What the application's fields ask of the connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ConnectionOptions {
    content_length: Option<u64>,
    pub(super) close: bool,
    upgrade: bool,
    has_date: bool,
}

/// The framing of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResponseFraming {
    pub(super) content: ResponseContent,
    line: FramingLine,
}

/// The framing line of a head. A response to HEAD has one although no content follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FramingLine {
    None,
    ContentLength(u64),
    Chunked,
}

/// The `Connection` line of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// The default of the version; no line.
    Implied,
    Close,
    KeepAlive,
}

/// Writes the status line and the application's fields; returns what the fields that are not copied ask for.
///
/// ```text
/// status-line = HTTP-version SP status-code SP [ reason-phrase ]         ; RFC 9112 §4
/// ```
pub(super) fn write_fields(head: &ResponseHead, out: &mut Vec<u8>) -> Result<ConnectionOptions, SendError> {
    out.reserve(HEAD_BYTES_USUAL);
    write_status_line(head, out);
    let mut options = ConnectionOptions::default();
    for (name, value) in head.headers.iter() {
        if options.observe(name, value)? {
            write_field(name, value, out);
        }
    }
    if let Some(media_type) = head.default_content_type() {
        out.extend_from_slice(media_type.field_line().as_bytes());
    }
    Ok(options)
}

impl ConnectionOptions {
    /// Reads a field that concerns framing; returns whether to copy the field.
    fn observe(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<bool, SendError> {
        if *name == header::CONTENT_LENGTH {
            let length = grammar::decimal(value.as_bytes()).ok_or(SendError::ContentLengthInvalid)?;
            match self.content_length.replace(length) {
                None => Ok(false),
                Some(_) => Err(SendError::ContentLengthInvalid),
            }
        } else if *name == header::TRANSFER_ENCODING {
            match value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                true => Ok(false),
                false => Err(SendError::TransferEncodingSet),
            }
        } else if *name == header::CONNECTION {
            self.close |= grammar::list(value.as_bytes()).any(|option| option.eq_ignore_ascii_case(b"close"));
            Ok(false)
        } else {
            self.has_date |= *name == header::DATE;
            self.upgrade |= *name == header::UPGRADE;
            Ok(true)
        }
    }

    /// Decides how the content is delimited (RFC 9112 §6.3, from the sender's side).
    pub(super) fn framing(
        self,
        status: StatusCode,
        length: BodyLength,
        is_head: bool,
        version: MinorVersion,
    ) -> Result<ResponseFraming, SendError> {
        let none = |line| {
            Ok(ResponseFraming {
                content: ResponseContent::None,
                line,
            })
        };
        match status {
            _ if status.is_informational() => return none(FramingLine::None),
            StatusCode::NO_CONTENT => return none(FramingLine::None),
            // Only the application knows the length the 200 would have had (RFC 9110 §8.6, §15.4.5).
            StatusCode::NOT_MODIFIED => {
                return none(
                    self.content_length
                        .map_or(FramingLine::None, FramingLine::ContentLength),
                );
            }
            // Has no content but is framed as if it could (RFC 9110 §15.3.6).
            StatusCode::RESET_CONTENT => return none(FramingLine::ContentLength(0)),
            _ => {}
        }
        let length = match (self.content_length, length) {
            (Some(declared), BodyLength::Known(length)) if declared != length && !is_head => {
                return Err(SendError::ContentLengthMismatch);
            }
            (Some(length), _) | (None, BodyLength::Known(length)) => Some(length),
            (None, BodyLength::Unknown) => None,
        };
        let (content, line) = match (length, version) {
            (Some(length), _) => (ResponseContent::Length(length), FramingLine::ContentLength(length)),
            (None, MinorVersion::One) => (ResponseContent::Chunked { probes: 0 }, FramingLine::Chunked),
            (None, MinorVersion::Zero) => (ResponseContent::UntilClose, FramingLine::None),
        };
        match is_head {
            true => none(line),
            false => Ok(ResponseFraming { content, line }),
        }
    }

    /// Writes the connection's own fields and the end of the head.
    pub(super) fn write_end(
        self,
        framing: ResponseFraming,
        persistence: Persistence,
        date: Option<&HttpDate>,
        out: &mut Vec<u8>,
    ) {
        match framing.line {
            FramingLine::None => {}
            FramingLine::ContentLength(length) => {
                out.extend_from_slice(b"Content-Length: ");
                out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            FramingLine::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        // Upgrade must be listed in Connection, or a proxy would forward it (RFC 9110 §7.8).
        match (persistence, self.upgrade) {
            (Persistence::Implied, false) => {}
            (Persistence::Implied, true) => out.extend_from_slice(b"Connection: upgrade\r\n"),
            (Persistence::Close, false) => out.extend_from_slice(b"Connection: close\r\n"),
            (Persistence::Close, true) => out.extend_from_slice(b"Connection: close, upgrade\r\n"),
            (Persistence::KeepAlive, false) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (Persistence::KeepAlive, true) => out.extend_from_slice(b"Connection: keep-alive, upgrade\r\n"),
        }
        if let Some(date) = date
            && !self.has_date
        {
            out.extend_from_slice(date.field_line());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes one field line.
pub(super) fn write_field(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_status_line(head: &ResponseHead, out: &mut Vec<u8>) {
    let status = head.status;
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    // The space stays even without a phrase (RFC 9112 §4).
    out.extend_from_slice(b" ");
    let registered = || status.canonical_reason().unwrap_or_default();
    let reason = head.reason.as_ref().map_or_else(registered, |reason| reason.as_str());
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Size of a head with five or six fields.
///
/// A young buffer reserves it at once, and callers make room for it.
pub const HEAD_BYTES_USUAL: usize = 256;
