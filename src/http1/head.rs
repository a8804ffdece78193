//! Reading the head of a request: request-line and field lines, up to the empty line (RFC 9112 §2.1, §3, §5).
//!
//! There are two ways through this file, and both take the same heads. A head that arrives whole, as nearly all do,
//! goes through httparse in one pass of vector code. Whatever that does not take, because it is not all there, is
//! malformed, over a limit, large or unusual, is read line by line with [`grammar`]; this way decides which error it is,
//! remembers how far it has read, and judges each line when its last byte comes. So a head is refused at the same place
//! however the network cut it up, and a byte is looked at a fixed number of times: once for the line end, once for its
//! line's syntax, once for its place in the [`RequestHead`].
//!
//! httparse takes LF for CRLF; [`are_lines_sound`] is the guard.

use core::mem::MaybeUninit;

use super::error::ParseError;
use super::framing::Framing;
use super::grammar::{self, FieldLine, RequestLine};
use super::limits::Limits;
use super::line::{LineEnding, LineScan};
use super::request::{Exchange, METHOD_BYTES_MAX, RequestBuilder, offset_in};
use crate::message::{RequestHead, Version};

/// Reads one head, which stays in the caller's buffer until it is whole.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeadReader {
    line: LineScan,
    /// Where the line at hand begins; every line before it has been judged. Counted from the head's first byte.
    line_start: usize,
    /// Lines before the line at hand, the request-line included.
    line_count: u32,
    /// Whether the name in the line at hand is known not to be too long.
    is_name_bounded: bool,
    /// Whether one empty line has been skipped.
    has_skipped_line: bool,
}

impl HeadReader {
    /// Whether a byte of the head has been seen. An empty line before it is not one.
    pub(super) fn has_begun(&self) -> bool {
        self.line_start > 0 || !self.line.is_fresh()
    }

    /// Reads a head, if all of it is there, into `head` and `exchange`, and advances `input` past it.
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
                Some(&byte) if grammar::TOKEN_BYTES.contains(byte) => {
                    if let Some(framing) = read_whole(input, head, exchange, limits)? {
                        *self = Self::default();
                        return Ok(Some(framing));
                    }
                }
                None => return Ok(None),
                // Half of an empty line that may be skipped; the time for a head does not run yet.
                Some(b'\r') if input.len() == 1 && !self.has_skipped_line => return Ok(None),
                Some(b'\n') => return Err(ParseError::BareLineFeed),
                // Refused at once, not when the line ends: a TLS handshake has no line to end.
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

    /// Skips one empty line before a request-line, as RFC 9112 §2.2 asks for the sake of clients that end content with
    /// a CRLF. One is what such a client sends; more would be free traffic.
    fn skip_empty_line(&mut self, input: &mut &[u8]) {
        if !self.has_skipped_line
            && let Some(rest) = input.strip_prefix(b"\r\n")
        {
            *input = rest;
            self.has_skipped_line = true;
        }
    }

    /// Judges every line that has ended since the last call and says where the head ends, if it does.
    fn find_end(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ParseError> {
        let view = input.get(..limits.header_bytes_max).unwrap_or(input);
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
                if RequestLine::parse(line.content)?.target.len() > limits.target_bytes_max {
                    return Err(ParseError::TargetTooLong);
                }
            } else if line.content.is_empty() {
                return Ok(Some(self.line_start));
            } else if self.line_count as usize > limits.header_count_max {
                return Err(ParseError::TooManyFields);
            } else {
                FieldLine::parse(line.content)?;
            }
            self.line_count = self.line_count.saturating_add(1);
            self.is_name_bounded = false;
        }
    }

    /// Looks for the colon once, when the line has grown longer than a name may be.
    fn check_name_length(&mut self, line: &[u8], limits: &Limits) -> Result<(), ParseError> {
        if self.is_name_bounded || line.len() <= limits.header_name_bytes_max {
            return Ok(());
        }
        let longest = line.get(..=limits.header_name_bytes_max).unwrap_or(line);
        self.is_name_bounded = memchr::memchr(b':', longest).is_some();
        match self.is_name_bounded {
            true => Ok(()),
            false => Err(ParseError::FieldNameTooLong),
        }
    }
}

/// Whether a request-line, ended or not, is too long for any target within its limit. A method that has not ended is taken to be as
/// long as one may be.
fn is_target_too_long(line: &[u8], limits: &Limits) -> bool {
    let method = line.get(..=METHOD_BYTES_MAX).unwrap_or(line);
    let method_end = memchr::memchr(b' ', method).unwrap_or(METHOD_BYTES_MAX);
    line.len() > method_end + " ".len() + limits.target_bytes_max + " HTTP/1.1".len()
}

/// Reads a head that is all there and within every limit, with httparse, and advances `input` past it. `None` leaves it to
/// the line reader to say what it is.
fn read_whole(
    input: &mut &[u8],
    head: &mut RequestHead,
    exchange: &mut Exchange,
    limits: &Limits,
) -> Result<Option<Framing>, ParseError> {
    let view = input.get(..limits.header_bytes_max).unwrap_or(input);
    let mut slots = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_AT_ONCE];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(head_bytes)) = parsed.parse_with_uninit_headers(view, &mut slots) else {
        return Ok(None);
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Ok(None);
    };
    let (bytes, rest) = input.split_at(head_bytes.min(input.len()));
    let is_bounded = bytes.len() <= UNASKED_BYTES_MAX
        && method.len() <= METHOD_BYTES_MAX
        && target.len() <= limits.target_bytes_max
        && parsed.headers.len() <= limits.header_count_max;
    if !is_bounded || !are_lines_sound(bytes, parsed.headers, limits) {
        return Ok(None);
    }
    let line = RequestLine {
        method: method.as_bytes(),
        target,
        version: if minor == 0 { Version::Http10 } else { Version::Http11 },
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

/// Whether every line ends in CRLF and no name is too long. httparse refuses a lone CR anywhere, so it is enough to look
/// for a CR in front of the LF that stands before each name and, for the last line and the empty one, at the end.
fn are_lines_sound(bytes: &[u8], fields: &[httparse::Header<'_>], limits: &Limits) -> bool {
    let is_sound = |field: &httparse::Header<'_>| {
        let line_end = offset_in(bytes, field.name.as_bytes()).wrapping_sub(2);
        bytes.get(line_end) == Some(&b'\r') && field.name.len() <= limits.header_name_bytes_max
    };
    bytes.ends_with(b"\r\n\r\n") && fields.iter().all(is_sound)
}

/// Reads a head every line of which has been judged.
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

/// The largest head that does not ask for its memory: what one receive buffer holds. Larger ones go through the line reader, which does.
const UNASKED_BYTES_MAX: usize = 4096;

/// How many fields httparse gets room for: 2 KiB of stack, left uninitialised. Browsers send about twenty; a request
/// with more than this goes through the line reader.
const FIELDS_AT_ONCE: usize = 64;
