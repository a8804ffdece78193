//! The client side of HTTP/1.1, as far as an upgrade needs it: writes the head of a GET request and reads the head of
//! the response (RFC 9112 §3, §4, §5). It handles no content.
//!
//! The reader parses a response line by line, each line when its last byte arrives. So the same error is found at the
//! same place however the network splits the response.
//!
//! It is as strict as the server side. RFC 9112 §2.2 and §5.2 let a client accept a lone LF or a folded line, but no
//! server in use sends them.

use core::fmt;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};

use super::encode::write_field;
use super::grammar::{self, FieldLine};
use super::line::{LineEnding, LineScan};
use super::version::MinorVersion;
use crate::message::{Headers, ResponseHead};

/// Largest response head in bytes, from the version to the empty line inclusive, together with preceding interim
/// responses. 32 KiB: the limit for requests.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 32 * 1024;

/// Most field lines of one response. 100: the limit for requests.
pub const RESPONSE_FIELDS_MAX: usize = 100;

/// Writes the head of a GET request; `fields` contains `Host`.
pub fn write_get(target: &PathAndQuery, fields: &Headers, out: &mut Vec<u8>) {
    out.extend_from_slice(b"GET ");
    // `Display` writes an empty path as `/`.
    out.extend_from_slice(target.to_string().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in fields.iter() {
        write_field(name, value, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Reads the head of one response.
///
/// Skips interim responses (RFC 9110 §15.2) except 101, which ends HTTP on the connection.
#[derive(Debug, Default)]
pub struct ResponseReader {
    line: LineScan,
    /// Bytes of the lines before the current one, including those of interim responses.
    line_start: usize,
    /// Whether the status line has been read.
    has_status: bool,
    head: ResponseHead,
}

impl ResponseReader {
    /// Consumes whole lines from the front of `input` and returns the head once it is complete.
    ///
    /// Present bytes that were not consumed again, in front of more. Bytes behind the head belong to the content or the
    /// next protocol.
    ///
    /// # Errors
    ///
    /// Fails if the response is malformed or too large; the connection cannot be used afterwards.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<ResponseHead>, ResponseError> {
        loop {
            let view = input.get(..RESPONSE_HEAD_BYTES_MAX - self.line_start).unwrap_or(input);
            let line = self.line.next(view);
            match line.ending {
                LineEnding::Open if view.len() < input.len() => return Err(ResponseError::HeadTooLarge),
                LineEnding::Open => return Ok(None),
                LineEnding::LineFeed => return Err(ResponseError::BareLineFeed),
                LineEnding::CrLf => {}
            }
            let line_bytes = line.content.len() + 2;
            let is_end = self.read_line(line.content)?;
            self.line_start += line_bytes;
            *input = input.get(line_bytes..).unwrap_or_default();
            if is_end {
                return Ok(Some(core::mem::take(&mut self.head)));
            }
        }
    }

    /// Reads a line; returns true if it ends the head of the final response.
    fn read_line(&mut self, line: &[u8]) -> Result<bool, ResponseError> {
        if !self.has_status {
            self.head.status = status_line(line)?;
            self.has_status = true;
            return Ok(false);
        }
        if line.is_empty() {
            self.has_status = false;
            let status = self.head.status;
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                self.head.clear();
                return Ok(false);
            }
            return Ok(true);
        }
        if self.head.headers.len() >= RESPONSE_FIELDS_MAX {
            return Err(ResponseError::TooManyFields);
        }
        let FieldLine { name, value } = FieldLine::parse(line).map_err(|_| ResponseError::FieldLine)?;
        let name = HeaderName::from_bytes(name).map_err(|_| ResponseError::FieldLine)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| ResponseError::FieldLine)?;
        self.head.headers.add(name, value);
        Ok(false)
    }
}

/// ```text
/// status-line = HTTP-version SP status-code SP [ reason-phrase ]         ; RFC 9112 §4
/// ```
///
/// The space before an empty reason may be missing, because servers in use omit it.
fn status_line(line: &[u8]) -> Result<StatusCode, ResponseError> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let (version, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let version = grammar::http_version(version).map_err(|_| ResponseError::StatusLine)?;
    let status = StatusCode::from_bytes(code).map_err(|_| ResponseError::StatusLine)?;
    let reason = parts.next().unwrap_or_default();
    // HTTP/1.0 has neither interim responses nor upgrades (RFC 9110 §15.2).
    let is_known = version == MinorVersion::One || !status.is_informational();
    if is_known && reason.iter().all(|&byte| grammar::is_field_byte(byte)) {
        Ok(status)
    } else {
        Err(ResponseError::StatusLine)
    }
}

/// Why a response was rejected.
///
/// Incomplete input is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// The status line is malformed: the server speaks another protocol.
    StatusLine,
    /// A line ends in LF without CR.
    BareLineFeed,
    /// A field line is folded, has no colon, or contains forbidden bytes.
    FieldLine,
    /// The head is larger than [`RESPONSE_HEAD_BYTES_MAX`].
    HeadTooLarge,
    /// There are more field lines than [`RESPONSE_FIELDS_MAX`].
    TooManyFields,
    /// The server closed the connection before the response was complete.
    Truncated,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::StatusLine => "the response does not begin with an HTTP/1 status line",
            Self::BareLineFeed => "a line of the response ends in LF without CR",
            Self::FieldLine => "a field line of the response is malformed",
            Self::HeadTooLarge => "the head of the response is larger than 32 KiB",
            Self::TooManyFields => "the response has more than 100 fields",
            Self::Truncated => "the server closed the connection before its response was complete",
        })
    }
}

impl core::error::Error for ResponseError {}
