//! HTTP/1.1 as a client speaks it, as far as an upgrade takes it: the head of a GET request is written, the head of its response is read (RFC
//! 9112 §3, §4, §5). Content is not its business.
//!
//! A response is read line by line, and each line is judged when its last byte comes, so that it is refused at the same place however the
//! network cut it up. As strict as the server is with requests: a lone LF or a folded line (which RFC 9112 §2.2 and §5.2 let a client take)
//! comes from no server in use.

use core::fmt;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};

use super::encode::write_field;
use super::grammar::{self, FieldLine};
use super::line::{LineEnding, LineScan};
use crate::message::{Headers, ResponseHead, Version};

/// Largest head of a response, with the interim responses before it, from the version to the empty line inclusive. 32 KiB: as requests.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 32 * 1024;

/// Most field lines of one response. 100: as requests.
pub const RESPONSE_FIELDS_MAX: usize = 100;

/// Writes the head of a GET request. `Host` is among the fields.
pub fn write_get(target: &PathAndQuery, fields: &Headers, out: &mut Vec<u8>) {
    out.extend_from_slice(b"GET ");
    // Displayed, a path that is not there is `/`.
    out.extend_from_slice(target.to_string().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in fields.iter() {
        write_field(name, value, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Reads the head of one response. Interim responses before it (RFC 9110 §15.2) are passed over, but not 101, which is the last that
/// HTTP says.
#[derive(Debug, Default)]
pub struct ResponseReader {
    line: LineScan,
    /// Of the lines before the line at hand, interim responses' included.
    line_start: usize,
    /// The status line has been read.
    has_status: bool,
    head: ResponseHead,
}

impl ResponseReader {
    /// Takes whole lines off the front of `input`; the head, once it is whole. Bytes not taken must be presented again, in front of more; those
    /// behind the head belong to what comes after it.
    ///
    /// # Errors
    ///
    /// What is wrong with the response; the connection cannot be used.
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

    /// Reads a line; true if it ends the head that was asked for.
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
/// The blank before a reason that is not there may be missing too, as servers in use leave it out.
fn status_line(line: &[u8]) -> Result<StatusCode, ResponseError> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let (version, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let version = grammar::http_version(version).map_err(|_| ResponseError::StatusLine)?;
    let status = StatusCode::from_bytes(code).map_err(|_| ResponseError::StatusLine)?;
    let reason = parts.next().unwrap_or_default();
    // HTTP/1.0 knows no interim responses, and no upgrade (RFC 9110 §15.2).
    let is_known = version == Version::Http11 || !status.is_informational();
    if is_known && reason.iter().all(|&byte| grammar::is_field_byte(byte)) {
        Ok(status)
    } else {
        Err(ResponseError::StatusLine)
    }
}

/// Why a response was not understood. Incomplete input is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// It does not begin as HTTP/1 does: another protocol is spoken there.
    StatusLine,
    /// A line ends in LF without CR.
    BareLineFeed,
    /// A field line is folded, has no colon, or holds bytes that no name or no value may have.
    FieldLine,
    /// The head is larger than [`RESPONSE_HEAD_BYTES_MAX`].
    HeadTooLarge,
    /// There are more field lines than [`RESPONSE_FIELDS_MAX`].
    TooManyFields,
    /// The server closed the connection in the middle of it, or without a word.
    Truncated,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::StatusLine => "the answer does not begin as HTTP/1.1 does",
            Self::BareLineFeed => "a line of the answer ends in LF without CR",
            Self::FieldLine => "a field of the answer is malformed",
            Self::HeadTooLarge => "the head of the answer is larger than 32 KiB",
            Self::TooManyFields => "the answer has more than 100 fields",
            Self::Truncated => "the server closed the connection before its answer was whole",
        })
    }
}

impl core::error::Error for ResponseError {}
