//! The reader of request heads: request-line and field lines, up to the empty line (RFC 9112 §2.1, §3, §5).
//!
//! Two paths accept the same heads:
//!
//! - The fast path: httparse reads a head that arrives whole, as nearly all do, in one pass of vector code.
//! - The line reader: [`grammar`](super::grammar) reads everything else line by line. That is a head that is
//!   incomplete, malformed, over a limit, large or unusual. This path decides which error it is. It records how far it
//!   has read and checks each line when its last byte arrives.
//!
//! So the same error is found at the same place however the network splits the head. Each byte is read three times: for
//! the line end, for the syntax of its line, and for its place in the [`RequestHead`].
//!
//! httparse accepts LF for CRLF; [`are_lines_sound`] rejects it.

use core::mem::MaybeUninit;

use super::error::ParseError;
use super::framing::Framing;
use super::grammar::{FieldLine, RequestLine};
use super::limits::Limits;
use super::line::{LineEnding, LineScan};
use super::request::{Exchange, METHOD_BYTES_MAX, RequestBuilder, offset_in};
use super::version::MinorVersion;
use crate::message::{RequestHead, TOKEN_BYTES};

/// Reads one head, which stays in the caller's buffer until it is complete.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeadReader {
    line: LineScan,
    /// Start of the current line, from the head's first byte. Every line before it has been checked.
    line_start: usize,
    /// Lines before the current one, including the request-line.
    line_count: u32,
    /// Whether the name in the current line is known to be short enough.
    is_name_bounded: bool,
    /// Whether one empty line has been skipped.
    has_skipped_line: bool,
}

impl HeadReader {
    /// Returns whether a byte of the head has arrived; an empty line before it does not count.
    pub(super) fn has_begun(&self) -> bool {
        self.line_start > 0 || !self.line.is_fresh()
    }

    /// Reads a complete head into `head` and `exchange`, and advances `input` past it.
    pub(super) fn receive(
        &mut self,
        input: &mut &[u8],
        head: &mut RequestHead,
        exchange: &mut Exchange,
        limits: &Limits,
    ) -> Result<Option<Framing>, ParseError> {
        if !self.has_begun() {
            self.skip_empty_line(input);
            match input.first() {
                Some(&byte) if TOKEN_BYTES.contains(byte) => {
                    if let Some(framing) = read_whole(input, head, exchange, limits)? {
                        *self = Self::default();
                        return Ok(Some(framing));
                    }
                }
                None => return Ok(None),
                // Half of an empty line that may be skipped; the timeout for a head does not run yet.
                Some(b'\r') if input.len() == 1 && !self.has_skipped_line => return Ok(None),
                Some(b'\n') => return Err(ParseError::BareLineFeed),
                // Rejected at once instead of at the line end, because a TLS handshake has no line end.
                Some(_) => return Err(ParseError::RequestLine),
            }
        }
        let Some(head_bytes) = self.find_end(input, limits)? else {
            return Ok(None);
        };
        let (bytes, rest) = input.split_at(head_bytes.min(input.len()));
        let framing = read_lines(bytes, head, exchange)?;
        *input = rest;
        *self = Self::default();
        Ok(Some(framing))
    }

    /// Skips one empty line before a request-line, for clients that end content with a CRLF (RFC 9112 §2.2). Such a
    /// client sends one; more would be unbounded.
    fn skip_empty_line(&mut self, input: &mut &[u8]) {
        if !self.has_skipped_line
            && let Some(rest) = input.strip_prefix(b"\r\n")
        {
            *input = rest;
            self.has_skipped_line = true;
        }
    }

    /// Checks every line that has ended since the last call, and returns where the head ends, if it does.
    fn find_end(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ParseError> {
        let view = input.get(..limits.max_header_bytes).unwrap_or(input);
        loop {
            let line = self.line.next(view.get(self.line_start..).unwrap_or_default());
            if self.line_count == 0 {
                if is_target_too_long(line.content, limits) {
                    return Err(ParseError::TargetTooLong);
                }
            } else {
                self.check_name_length(line.content, limits)?;
            }
            match line.ending {
                LineEnding::Open if view.len() < input.len() => return Err(ParseError::HeadTooLarge),
                LineEnding::Open => return Ok(None),
                LineEnding::LineFeed => return Err(ParseError::BareLineFeed),
                LineEnding::CrLf => {}
            }
            self.line_start += line.content.len() + 2;
            if self.line_count == 0 {
                if RequestLine::parse(line.content)?.target.len() > limits.max_target_bytes {
                    return Err(ParseError::TargetTooLong);
                }
            } else if line.content.is_empty() {
                return Ok(Some(self.line_start));
            } else if self.line_count as usize > limits.max_header_count {
                return Err(ParseError::TooManyFields);
            } else {
                FieldLine::parse(line.content)?;
            }
            self.line_count = self.line_count.saturating_add(1);
            self.is_name_bounded = false;
        }
    }

    /// Looks for the colon once, when the line has grown longer than the longest name.
    fn check_name_length(&mut self, line: &[u8], limits: &Limits) -> Result<(), ParseError> {
        if self.is_name_bounded || line.len() <= limits.max_header_name_bytes {
            return Ok(());
        }
        let longest = line.get(..=limits.max_header_name_bytes).unwrap_or(line);
        self.is_name_bounded = memchr::memchr(b':', longest).is_some();
        match self.is_name_bounded {
            true => Ok(()),
            false => Err(ParseError::FieldNameTooLong),
        }
    }
}

/// Returns whether a request-line, complete or not, is too long for any allowed target. An incomplete method counts
/// with its maximum length.
fn is_target_too_long(line: &[u8], limits: &Limits) -> bool {
    let method = line.get(..=METHOD_BYTES_MAX).unwrap_or(line);
    let method_end = memchr::memchr(b' ', method).unwrap_or(METHOD_BYTES_MAX);
    line.len() > method_end + " ".len() + limits.max_target_bytes + " HTTP/1.1".len()
}

/// Reads a complete head within every limit with httparse, and advances `input` past it. Returns `None` to leave the
/// head to the line reader.
fn read_whole(
    input: &mut &[u8],
    head: &mut RequestHead,
    exchange: &mut Exchange,
    limits: &Limits,
) -> Result<Option<Framing>, ParseError> {
    let view = input.get(..limits.max_header_bytes).unwrap_or(input);
    let mut slots = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_AT_ONCE];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(head_bytes)) = parsed.parse_with_uninit_headers(view, &mut slots) else {
        return Ok(None);
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Ok(None);
    };
    let (bytes, rest) = input.split_at(head_bytes.min(input.len()));
    // httparse has checked the syntax; limits and line ends are checked here.
    let is_bounded = bytes.len() <= UNASKED_BYTES_MAX
        && method.len() <= METHOD_BYTES_MAX
        && target.len() <= limits.max_target_bytes
        && parsed.headers.len() <= limits.max_header_count;
    if !is_bounded || !are_lines_sound(bytes, parsed.headers, limits) {
        return Ok(None);
    }
    let line = RequestLine {
        method: method.as_bytes(),
        target,
        version: if minor == 0 {
            MinorVersion::Zero
        } else {
            MinorVersion::One
        },
    };
    let mut builder = RequestBuilder::new(bytes, head);
    builder.request_line(line)?;
    for field in parsed.headers.iter() {
        builder.field(field.name.as_bytes(), field.value)?;
    }
    let framing = builder.end(exchange)?;
    *input = rest;
    Ok(Some(framing))
}

/// Returns whether every line ends in CRLF and no name is too long.
///
/// httparse rejects a lone CR anywhere. So it is enough to check for a CR before the LF that precedes each name, and at
/// the end for the last two lines.
fn are_lines_sound(bytes: &[u8], fields: &[httparse::Header<'_>], limits: &Limits) -> bool {
    let is_sound = |field: &httparse::Header<'_>| {
        let line_end = offset_in(bytes, field.name.as_bytes()).wrapping_sub(2);
        bytes.get(line_end) == Some(&b'\r') && field.name.len() <= limits.max_header_name_bytes
    };
    bytes.ends_with(b"\r\n\r\n") && fields.iter().all(is_sound)
}

/// Reads a head whose lines have all been checked.
#[cold]
fn read_lines(bytes: &[u8], head: &mut RequestHead, exchange: &mut Exchange) -> Result<Framing, ParseError> {
    let mut lines = bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    head.make_room(bytes.len())?;
    let mut builder = RequestBuilder::new(bytes, head);
    builder.request_line(RequestLine::parse(lines.next().unwrap_or_default())?)?;
    for line in lines.take_while(|line| !line.is_empty()) {
        let FieldLine { name, value } = FieldLine::parse(line)?;
        builder.field(name, value)?;
    }
    builder.end(exchange)
}

/// Largest head read without a memory check, in bytes: one receive buffer. The line reader checks memory for larger
/// ones.
const UNASKED_BYTES_MAX: usize = 4096;

/// Fields httparse has room for: 2 KiB of uninitialised stack. Browsers send about twenty; requests with more than 64
/// go through the line reader.
const FIELDS_AT_ONCE: usize = 64;
