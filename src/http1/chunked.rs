//! The chunked transfer coding, both directions (RFC 9112 §7.1): a reader that holds no byte, and a writer.
//!
//! ```text
//! chunked-body   = *chunk last-chunk trailer-section CRLF
//! chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//! chunk-size     = 1*HEXDIG
//! last-chunk     = 1*("0") [ chunk-ext ] CRLF
//! chunk-ext      = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
//! ```
//!
//! Framing bytes are consumed as they come, one state per byte; only a trailer line waits in the caller's buffer until
//! it is whole. What follows a malformed byte is never looked at.

use super::content::Piece;
use super::encode::{is_trailer_allowed, write_field};
use super::error::{ParseError, SendError};
use super::grammar::{self, FieldLine, LENGTH_MAX, RequestLine};
use super::limits::Limits;
use super::line::{LineEnding, LineScan};
use crate::message::Headers;

/// Reads one chunked body.
#[derive(Debug, Clone, Default)]
pub(super) struct ChunkedReader {
    /// What is left of the chunk at hand, or what has been read of its size. At most [`LENGTH_MAX`].
    chunk_bytes: u64,
    trailer_line: LineScan,
    /// Of all chunks; at most [`Limits::chunk_extension_bytes_max`].
    extension_bytes: u32,
    /// Of all lines consumed; at most [`Limits::trailer_bytes_max`].
    trailer_bytes: u32,
    trailer_count: u32,
    /// How many digits of the size at hand have been read; at most [`SIZE_DIGITS_MAX`].
    size_digits: u8,
    state: ChunkState,
}

/// Which byte comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ChunkState {
    /// A digit of the size, or what may follow at least one of them.
    #[default]
    Size,
    /// Blanks after the size; a semicolon must come.
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
    /// Advances `input` past what it understood. An error leaves `input` at the byte, or trailer line, it is about.
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

    /// How many bytes of the current chunk are still to come, once its size line has ended; 0 between two chunks.
    pub(super) fn announced(&self) -> u64 {
        match self.state {
            ChunkState::Data => self.chunk_bytes,
            _ => 0,
        }
    }

    /// Whether the last byte of the body has been consumed.
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

    /// Reads one byte of the size itself. `httparse::parse_chunk_size` takes an empty line for 0, blanks for nothing
    /// and a lone LF for a line end, so it is not used.
    fn size_byte(&mut self, byte: u8, limits: &Limits) -> Result<ChunkState, ParseError> {
        if let Some(digit) = grammar::hex_digit(byte) {
            if self.size_digits == SIZE_DIGITS_MAX {
                return Err(ParseError::ChunkSize);
            }
            self.size_digits += 1;
            // Sixteen digits fill the 64 bits exactly, so nothing is shifted out.
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

    /// Extensions are counted and skipped: no two implementations agree on any of them. Quoted strings are followed
    /// only to know that a line does not end inside one.
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
        if self.extension_bytes as usize >= limits.chunk_extension_bytes_max {
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

    /// ```text
    /// trailer-section   = *( field-line CRLF )                           ; RFC 9112 §7.1.2
    /// ```
    ///
    /// `None` says that the section has ended.
    fn trailer<'b>(&mut self, input: &mut &'b [u8], limits: &Limits) -> Result<Option<Piece<'b>>, ParseError> {
        let room = limits.trailer_bytes_max.saturating_sub(self.trailer_bytes as usize);
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
        if self.trailer_count as usize >= limits.trailer_count_max {
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

/// A trailer whose value is a request-line is refused although its syntax is right: it is what a smuggled request looks
/// like to the one reader in a chain that found the end of the body two bytes later, and no honest trailer looks so.
fn trailer_field<'b>(line: &'b [u8], limits: &Limits) -> Result<Piece<'b>, ParseError> {
    let FieldLine { name, value } = FieldLine::parse(line)?;
    if name.len() > limits.header_name_bytes_max {
        return Err(ParseError::FieldNameTooLong);
    }
    if RequestLine::parse(value).is_ok() {
        return Err(ParseError::TrailerRequestLine);
    }
    let name = str::from_utf8(name).map_err(|_| ParseError::FieldName)?;
    Ok(Piece::Trailer { name, value })
}

/// Writes one chunk. Empty data writes nothing: an empty chunk would end the body. Never inlined, like [`encode_end`]: what calls
/// them is on the way of every response, and short without them.
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

/// Writes the last chunk and the trailer section behind it (RFC 9112 §7.1.2).
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

/// What frames one chunk and ends the content behind it: sixteen digits, two line ends, and the last chunk without trailers. 25 bytes.
pub const CHUNK_FRAMING_BYTES_MAX: usize = SIZE_DIGITS_MAX as usize + 2 * "\r\n".len() + "0\r\n\r\n".len();

/// What 64 bits hold. RFC 9112 §7.1 asks recipients to beware of large sizes; `0000000000000000001` is one too.
const SIZE_DIGITS_MAX: u8 = 16;
