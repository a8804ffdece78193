//! The chunked transfer coding (RFC 9112 §7.1): a reader without a buffer, and a writer.
//!
//! ```text
//! chunked-body   = *chunk last-chunk trailer-section CRLF
//! chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//! chunk-size     = 1*HEXDIG
//! last-chunk     = 1*("0") [ chunk-ext ] CRLF
//! chunk-ext      = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
//! ```
//!
//! The reader consumes framing bytes as they arrive, one state per byte. Only an incomplete trailer line stays in the
//! caller's buffer. The reader never looks past a malformed byte.

use super::encode::{is_trailer_allowed, write_field};
use super::error::{ParseError, SendError};
use super::grammar::{self, FieldLine, LENGTH_MAX, RequestLine};
use super::limits::Limits;
use super::line::{LineEnding, LineScan};
use crate::message::Headers;

/// What a reader found next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'b> {
    NeedData,
    Data(&'b [u8]),
    Trailer { name: &'b str, value: &'b [u8] },
    End,
}

/// Reads one chunked body.
#[derive(Debug, Clone, Default)]
pub(super) struct ChunkedReader {
    /// The rest of the current chunk, or the size as far as it has been read; at most [`LENGTH_MAX`].
    chunk_bytes: u64,
    trailer_line: LineScan,
    /// Extension bytes of all chunks; at most [`Limits::max_chunk_extension_bytes`].
    extension_bytes: u32,
    /// Bytes of all consumed trailer lines; at most [`Limits::max_trailer_bytes`].
    trailer_bytes: u32,
    trailer_count: u32,
    /// Digits of the current size; at most [`SIZE_DIGITS_MAX`].
    size_digits: u8,
    state: ChunkState,
}

/// The expected next byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ChunkState {
    /// A digit of the size; after the first digit also the end of the size.
    #[default]
    Size,
    /// Blanks after the size, which a semicolon must follow.
    Blank,
    Extension,
    /// Inside the quoted string of an extension.
    Quoted,
    /// After a backslash in a quoted string.
    Escaped,
    /// The LF of a size line.
    SizeLineFeed,
    Data,
    /// The CR after chunk data.
    DataReturn,
    DataLineFeed,
    Trailers,
    End,
}

impl ChunkedReader {
    /// Advances `input` past what was consumed. An error leaves `input` at the offending byte or trailer line.
    pub(super) fn receive<'b>(&mut self, input: &mut &'b [u8], limits: &Limits) -> Result<Piece<'b>, ParseError> {
        loop {
            match self.state {
                ChunkState::End => return Ok(Piece::End),
                ChunkState::Trailers => {
                    if let Some(piece) = self.trailer(input, limits)? {
                        return Ok(piece);
                    }
                }
                ChunkState::Data => {
                    if input.is_empty() {
                        return Ok(Piece::NeedData);
                    }
                    return Ok(Piece::Data(self.data(input)));
                }
                _ => {
                    let Some((&byte, rest)) = input.split_first() else {
                        return Ok(Piece::NeedData);
                    };
                    self.state = self.framing_byte(byte, limits)?;
                    *input = rest;
                }
            }
        }
    }

    /// Returns the bytes left of the current chunk once its size line is complete; 0 between chunks.
    pub(super) fn announced(&self) -> u64 {
        match self.state {
            ChunkState::Data => self.chunk_bytes,
            _ => 0,
        }
    }

    /// Returns whether the whole body has been consumed.
    pub(super) fn has_ended(&self) -> bool {
        self.state == ChunkState::End
    }

    fn data<'b>(&mut self, input: &mut &'b [u8]) -> &'b [u8] {
        let wanted = usize::try_from(self.chunk_bytes).unwrap_or(usize::MAX);
        let (data, rest) = input.split_at(wanted.min(input.len()));
        *input = rest;
        self.chunk_bytes = self.chunk_bytes.saturating_sub(data.len() as u64);
        if self.chunk_bytes == 0 {
            self.state = ChunkState::DataReturn;
        }
        data
    }

    fn framing_byte(&mut self, byte: u8, limits: &Limits) -> Result<ChunkState, ParseError> {
        match self.state {
            ChunkState::Size => self.size_byte(byte, limits),
            ChunkState::Blank => match byte {
                b' ' | b'\t' | b';' => self.extension_byte(byte, limits),
                _ => Err(ParseError::ChunkSize),
            },
            ChunkState::Extension | ChunkState::Quoted | ChunkState::Escaped => self.extension_byte(byte, limits),
            ChunkState::SizeLineFeed if byte == b'\n' => Ok(self.size_line_end()),
            ChunkState::SizeLineFeed => Err(ParseError::ChunkSize),
            ChunkState::DataReturn if byte == b'\r' => Ok(ChunkState::DataLineFeed),
            ChunkState::DataLineFeed if byte == b'\n' => Ok(ChunkState::Size),
            ChunkState::DataReturn
            | ChunkState::DataLineFeed
            | ChunkState::Data
            | ChunkState::Trailers
            | ChunkState::End => Err(ParseError::ChunkEnd),
        }
    }

    /// Reads one byte of the size. `httparse::parse_chunk_size` is not used: it reads an empty line as 0, skips blanks,
    /// and accepts a lone LF as a line end.
    fn size_byte(&mut self, byte: u8, limits: &Limits) -> Result<ChunkState, ParseError> {
        if let Some(digit) = grammar::hex_digit(byte) {
            if self.size_digits == SIZE_DIGITS_MAX {
                return Err(ParseError::ChunkSize);
            }
            self.size_digits += 1;
            // Sixteen digits fill the 64 bits exactly, so the shift loses nothing.
            self.chunk_bytes = self.chunk_bytes << 4 | digit;
            return Ok(ChunkState::Size);
        }
        if self.size_digits == 0 || self.chunk_bytes > LENGTH_MAX {
            return Err(ParseError::ChunkSize);
        }
        match byte {
            b'\r' => Ok(ChunkState::SizeLineFeed),
            b';' | b' ' | b'\t' => {
                self.state = ChunkState::Blank;
                self.extension_byte(byte, limits)
            }
            _ => Err(ParseError::ChunkSize),
        }
    }

    fn size_line_end(&mut self) -> ChunkState {
        self.size_digits = 0;
        match self.chunk_bytes {
            0 => ChunkState::Trailers,
            _ => ChunkState::Data,
        }
    }

    /// Counts and skips extensions, because no two implementations agree on their meaning. Quoted strings are tracked
    /// only to reject a line that ends inside one.
    fn extension_byte(&mut self, byte: u8, limits: &Limits) -> Result<ChunkState, ParseError> {
        if byte == b'\r' {
            return match self.state {
                ChunkState::Extension => Ok(ChunkState::SizeLineFeed),
                _ => Err(ParseError::ChunkExtension),
            };
        }
        if !grammar::is_field_byte(byte) {
            return Err(ParseError::ChunkExtension);
        }
        if self.extension_bytes as usize >= limits.max_chunk_extension_bytes {
            return Err(ParseError::ChunkExtensionsTooLarge);
        }
        self.extension_bytes = self.extension_bytes.saturating_add(1);
        Ok(match (self.state, byte) {
            (ChunkState::Blank, b';') => ChunkState::Extension,
            (ChunkState::Blank, _) => ChunkState::Blank,
            (ChunkState::Extension, b'"') => ChunkState::Quoted,
            (ChunkState::Quoted, b'\\') => ChunkState::Escaped,
            (ChunkState::Quoted, b'"') => ChunkState::Extension,
            (ChunkState::Quoted | ChunkState::Escaped, _) => ChunkState::Quoted,
            _ => ChunkState::Extension,
        })
    }

    /// Reads one trailer line; returns `None` at the end of the section.
    ///
    /// ```text
    /// trailer-section   = *( field-line CRLF )                           ; RFC 9112 §7.1.2
    /// ```
    fn trailer<'b>(&mut self, input: &mut &'b [u8], limits: &Limits) -> Result<Option<Piece<'b>>, ParseError> {
        let room = limits.max_trailer_bytes.saturating_sub(self.trailer_bytes as usize);
        let bytes: &'b [u8] = input;
        let view = bytes.get(..room).unwrap_or(bytes);
        let line = self.trailer_line.next(view);
        match line.ending {
            LineEnding::Open if view.len() < bytes.len() => return Err(ParseError::TrailersTooLarge),
            LineEnding::Open => return Ok(Some(Piece::NeedData)),
            LineEnding::LineFeed => return Err(ParseError::BareLineFeed),
            LineEnding::CrLf => {}
        }
        let (consumed, rest) = bytes.split_at(line.content.len() + 2);
        if line.content.is_empty() {
            *input = rest;
            self.state = ChunkState::End;
            return Ok(None);
        }
        if self.trailer_count as usize >= limits.max_trailer_count {
            return Err(ParseError::TooManyTrailers);
        }
        let piece = trailer_field(line.content, limits)?;
        self.trailer_count = self.trailer_count.saturating_add(1);
        let consumed_bytes = u32::try_from(consumed.len()).unwrap_or(u32::MAX);
        self.trailer_bytes = self.trailer_bytes.saturating_add(consumed_bytes);
        *input = rest;
        Ok(Some(piece))
    }
}

/// Parses a trailer field, and rejects one whose value is a request-line.
///
/// Its syntax is right, but a smuggled request looks exactly like it to a proxy that found the end of the body two
/// bytes later. See `docs/threats.md#request-smuggling`.
fn trailer_field<'b>(line: &'b [u8], limits: &Limits) -> Result<Piece<'b>, ParseError> {
    let FieldLine { name, value } = FieldLine::parse(line)?;
    if name.len() > limits.max_header_name_bytes {
        return Err(ParseError::FieldNameTooLong);
    }
    if RequestLine::parse(value).is_ok() {
        return Err(ParseError::TrailerRequestLine);
    }
    let name = str::from_utf8(name).map_err(|_| ParseError::FieldName)?;
    Ok(Piece::Trailer { name, value })
}

/// Writes one chunk; empty data writes nothing, because an empty chunk would end the body.
///
/// Never inlined, like [`encode_end`]: every response passes through the callers, which stay short without it.
#[inline(never)]
pub(super) fn encode_chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    let mut digits = [0; 16];
    let mut start = digits.len();
    let mut size = data.len();
    for place in digits.iter_mut().rev() {
        *place = *HEX_DIGITS.get(size & 0xf).unwrap_or(&b'0');
        start -= 1;
        size >>= 4;
        if size == 0 {
            break;
        }
    }
    out.reserve(data.len() + digits.len() + 4);
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk and the trailer section (RFC 9112 §7.1.2).
#[inline(never)]
pub(super) fn encode_end(trailers: Option<&Headers>, out: &mut Vec<u8>) -> Result<(), SendError> {
    let fields = || trailers.into_iter().flat_map(Headers::iter);
    if !fields().all(|(name, _)| is_trailer_allowed(name)) {
        return Err(SendError::TrailerForbidden);
    }
    out.extend_from_slice(b"0\r\n");
    for (name, value) in fields() {
        write_field(name, value, out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Most framing bytes around one chunk that ends the content: sixteen digits, two line ends, and the last chunk without
/// trailers. 25 bytes.
pub const CHUNK_FRAMING_BYTES_MAX: usize = SIZE_DIGITS_MAX as usize + 2 * "\r\n".len() + "0\r\n\r\n".len();

/// Most digits of a chunk size: what 64 bits hold. RFC 9112 §7.1 warns of large sizes; `0000000000000000001` counts as
/// one too.
const SIZE_DIGITS_MAX: u8 = 16;
