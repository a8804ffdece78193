//! The reader of response heads (RFC 9112 §4, §5).
//!
//! It parses a response line by line, each line when its last byte arrives. So the same error is found at the same
//! place however the network splits the response.
//!
//! It is as strict as the server side. RFC 9112 §2.2 and §5.2 let a client accept a lone LF or a folded line, but no
//! server in use sends them.

use http::{HeaderName, HeaderValue, StatusCode};

use super::error::ResponseError;
use crate::http1::grammar::{self, FieldLine};
use crate::http1::line::{LineEnding, LineScan};
use crate::http1::version::MinorVersion;
use crate::message::{ReasonPhrase, ResponseHead};

/// Largest response head of a WebSocket client in bytes, from the version to the empty line inclusive, together with
/// preceding interim responses. 32 KiB: the limit for requests.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 32 * 1024;

/// Most field lines of one response to a WebSocket client. 100: the limit for requests.
pub const RESPONSE_FIELDS_MAX: usize = 100;

/// Bounds on the head of one response, with the interim responses before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimits {
    pub(super) head_bytes_max: usize,
    pub(super) fields_max: usize,
}

/// Reads the heads of one response: interim ones, then the last.
#[derive(Debug, Default)]
pub struct ResponseReader {
    line: LineScan,
    /// Bytes of the lines before the current one, including those of interim responses.
    line_start: usize,
    /// Whether the status line has been read.
    has_status: bool,
    version: MinorVersion,
    head: ResponseHead,
}

impl ResponseReader {
    /// Consumes whole lines from the front of `input` and returns the head once it is complete.
    ///
    /// Skips interim responses (RFC 9110 §15.2) except 101, which ends HTTP on the connection. Present bytes that were
    /// not consumed again, in front of more. Bytes behind the head belong to the content or the next protocol.
    ///
    /// # Errors
    ///
    /// Fails if the response is malformed or too large; the connection cannot be used afterwards.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<ResponseHead>, ResponseError> {
        const LIMITS: HeadLimits = HeadLimits {
            head_bytes_max: RESPONSE_HEAD_BYTES_MAX,
            fields_max: RESPONSE_FIELDS_MAX,
        };
        while let Some((_, head)) = self.next_head(input, LIMITS)? {
            if !is_interim(head.status) {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// Returns the next head, which may be that of an interim response.
    pub(super) fn next_head(
        &mut self,
        input: &mut &[u8],
        limits: HeadLimits,
    ) -> Result<Option<(MinorVersion, ResponseHead)>, ResponseError> {
        loop {
            let room = limits.head_bytes_max.saturating_sub(self.line_start);
            let view = input.get(..room).unwrap_or(input);
            let line = self.line.next(view);
            match line.ending {
                LineEnding::Open if view.len() < input.len() => return Err(ResponseError::HeadTooLarge),
                LineEnding::Open => return Ok(None),
                LineEnding::LineFeed => return Err(ResponseError::BareLineFeed),
                LineEnding::CrLf => {}
            }
            let line_bytes = line.content.len() + 2;
            let is_end = self.read_line(line.content, limits)?;
            self.line_start += line_bytes;
            *input = input.get(line_bytes..).unwrap_or_default();
            if is_end {
                return Ok(Some((self.version, core::mem::take(&mut self.head))));
            }
        }
    }

    /// Reads a line; returns true if it ends a head.
    fn read_line(&mut self, line: &[u8], limits: HeadLimits) -> Result<bool, ResponseError> {
        if !self.has_status {
            self.read_status_line(line)?;
            self.has_status = true;
            return Ok(false);
        }
        if line.is_empty() {
            self.has_status = false;
            return Ok(true);
        }
        if self.head.headers.len() >= limits.fields_max {
            return Err(ResponseError::TooManyFields);
        }
        let FieldLine { name, value } = FieldLine::parse(line).map_err(|_| ResponseError::FieldLine)?;
        let name = HeaderName::from_bytes(name).map_err(|_| ResponseError::FieldLine)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| ResponseError::FieldLine)?;
        self.head.headers.add(name, value);
        Ok(false)
    }

    /// ```text
    /// status-line = HTTP-version SP status-code SP [ reason-phrase ]         ; RFC 9112 §4
    /// ```
    ///
    /// The space before an empty reason may be missing, because servers in use omit it.
    fn read_status_line(&mut self, line: &[u8]) -> Result<(), ResponseError> {
        let mut parts = line.splitn(3, |&byte| byte == b' ');
        let (version, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        self.version = grammar::http_version(version).map_err(|_| ResponseError::StatusLine)?;
        let status = StatusCode::from_bytes(code).map_err(|_| ResponseError::StatusLine)?;
        let reason = parts.next().unwrap_or_default();
        // HTTP/1.0 has neither interim responses nor upgrades (RFC 9110 §15.2).
        let is_known = self.version == MinorVersion::One || !status.is_informational();
        if !is_known || !reason.iter().all(|&byte| grammar::is_field_byte(byte)) {
            return Err(ResponseError::StatusLine);
        }
        self.head.status = status;
        self.head.reason = unusual_reason(status, reason);
        Ok(())
    }
}

/// Returns whether a status is one of an interim response, which another response follows. 101 ends HTTP instead.
pub(super) fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Returns the reason phrase, if it is legal and another than the registered one.
fn unusual_reason(status: StatusCode, reason: &[u8]) -> Option<ReasonPhrase> {
    let registered = status.canonical_reason().unwrap_or_default();
    if reason == registered.as_bytes() {
        return None;
    }
    str::from_utf8(reason).ok().and_then(ReasonPhrase::new)
}
