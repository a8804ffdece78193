//! Writing the head of a response into the caller's buffer, in one pass and without allocating (RFC 9112 §4, §5, §6).
//!
//! Framing is ours: whatever the application set of `Connection`, `Transfer-Encoding` and `Content-Length` is read,
//! never copied, and one line of each is written where it is due. So the bytes on the wire cannot contradict what the
//! connection does afterwards.

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::error::SendError;
use super::grammar;
use crate::message::{HttpDate, ResponseHead, Version};

/// How long the content is that an application is about to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes.
    Known(u64),
    /// Not known yet: chunked, or, for an HTTP/1.0 peer, until the connection closes.
    Unknown,
}

/// How the content of a response is delimited on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseContent {
    /// There is none: what the application sends is dropped (RFC 9110 §6.4.1).
    None,
    /// So many bytes are still to come.
    Length(u64),
    Chunked {
        /// How many leading zeros of a chunk-size were sent by themselves, to learn whether the peer still reads.
        probes: u8,
    },
    UntilClose,
}

/// What the application's fields said to the connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ConnectionOptions {
    content_length: Option<u64>,
    pub(super) close: bool,
    upgrade: bool,
    has_date: bool,
}

/// What an exchange makes of its response's framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResponseFraming {
    pub(super) content: ResponseContent,
    line: FramingLine,
}

/// The framing line of a head. A response to HEAD has one for content that does not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FramingLine {
    None,
    ContentLength(u64),
    Chunked,
}

/// The `Connection` line of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// What the version implies; no line.
    Implied,
    Close,
    KeepAlive,
}

/// Writes the status line and the application's fields; says what those that are not copied asked for.
///
/// ```text
/// status-line = HTTP-version SP status-code SP [ reason-phrase ]         ; RFC 9112 §4
/// ```
pub(super) fn write_fields(head: &ResponseHead, out: &mut Vec<u8>) -> Result<ConnectionOptions, SendError> {
    out.reserve(HEAD_BYTES_USUAL);
    write_status_line(head.status, out);
    let mut options = ConnectionOptions::default();
    for (name, value) in head.headers.iter() {
        if options.observe(name, value)? {
            write_field(name, value, out);
        }
    }
    if let Some(media_type) = head.content_type {
        out.extend_from_slice(media_type.field_line().as_bytes());
    }
    Ok(options)
}

impl ConnectionOptions {
    /// Reads a field that concerns framing; says whether the field is to be written as it is.
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
        version: Version,
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
            // Says how long the 200 would have been, which only the application knows (RFC 9110 §8.6, §15.4.5).
            StatusCode::NOT_MODIFIED => {
                return none(
                    self.content_length
                        .map_or(FramingLine::None, FramingLine::ContentLength),
                );
            }
            // Has no content but is framed as if it could have (RFC 9110 §15.3.6).
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
            (None, Version::Http11) => (ResponseContent::Chunked { probes: 0 }, FramingLine::Chunked),
            (None, Version::Http10) => (ResponseContent::UntilClose, FramingLine::None),
        };
        match is_head {
            true => none(line),
            false => Ok(ResponseFraming { content, line }),
        }
    }

    /// Writes what belongs to the connection, and the end of the head.
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
        // Whoever sends Upgrade says so in Connection, lest a proxy pass it on (RFC 9110 §7.8).
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

/// Whether a field may stand in a trailer section: none may that frames, routes or authorises (RFC 9110 §6.5.1).
pub(super) fn is_trailer_allowed(name: &HeaderName) -> bool {
    const FORBIDDEN: [HeaderName; 12] = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TRAILER,
        header::HOST,
        header::UPGRADE,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::SET_COOKIE,
        header::AUTHORIZATION,
        header::LOCATION,
    ];
    !FORBIDDEN.contains(name)
}

fn write_status_line(status: StatusCode, out: &mut Vec<u8>) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    // The space stays where there is no phrase (RFC 9112 §4).
    out.extend_from_slice(b" ");
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A head of five or six fields: one reservation instead of several while a buffer is young, and what a caller makes room for.
pub const HEAD_BYTES_USUAL: usize = 256;
