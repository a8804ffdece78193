//! The content of a response, piece by piece (RFC 9112 §6, §7.1).

use http::header;

use super::wire::Wire;
use crate::error::{Error, Result};
use crate::message::{HeaderName, HeaderValue, Headers, Method, ResponseHead, has_no_content};

/// How the rest of the content ends.
#[derive(Debug)]
pub(super) enum Content {
    /// After this many bytes.
    Length(u64),
    /// After the last chunk; this many bytes of the current chunk are still to come.
    Chunked(u64),
    /// With the connection.
    UntilClose,
}

/// A part of the content.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Vec<u8>),
    /// The content is complete, with these trailer fields.
    End(Headers),
    /// The application closed the connection in the middle.
    Cut,
}

impl Content {
    /// Returns how the content of a response ends (RFC 9112 §6.3).
    pub(super) fn of(head: &ResponseHead, method: &Method) -> Result<Self> {
        let field = |name| head.headers.get(name).map(HeaderValue::as_bytes);
        if *method == Method::HEAD || has_no_content(head.status) {
            return Ok(Self::Length(0));
        }
        if let Some(coding) = field(&header::TRANSFER_ENCODING) {
            return match coding.eq_ignore_ascii_case(b"chunked") {
                true => Ok(Self::Chunked(0)),
                false => Err(malformed("its Transfer-Encoding is not chunked")),
            };
        }
        let Some(length) = field(&header::CONTENT_LENGTH) else {
            return Ok(Self::UntilClose);
        };
        let length = str::from_utf8(length).ok().and_then(|length| length.parse().ok());
        length
            .map(Self::Length)
            .ok_or_else(|| malformed("its Content-Length is not a number"))
    }

    /// Waits for the next piece.
    pub(super) fn next(&mut self, wire: &mut Wire) -> Result<Piece> {
        match self {
            Self::Length(0) => Ok(Piece::End(Headers::new())),
            Self::Length(left) => take(wire, left),
            Self::UntilClose => Ok(match wire.take(u64::MAX)? {
                Some(data) => Piece::Data(data),
                None => Piece::End(Headers::new()),
            }),
            Self::Chunked(left) => next_of_chunks(wire, left),
        }
    }
}

fn take(wire: &mut Wire, left: &mut u64) -> Result<Piece> {
    let Some(data) = wire.take(*left)? else {
        return Ok(Piece::Cut);
    };
    *left -= data.len() as u64;
    Ok(Piece::Data(data))
}

/// ```text
/// chunked-body = *chunk last-chunk trailer-section CRLF                    ; RFC 9112 §7.1
/// chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
/// ```
fn next_of_chunks(wire: &mut Wire, left: &mut u64) -> Result<Piece> {
    if *left == 0 {
        let Some(line) = wire.take_line()? else {
            return Ok(Piece::Cut);
        };
        let size = line.split(';').next().unwrap_or_default().trim();
        *left = u64::from_str_radix(size, 16).map_err(|_| malformed("the size of a chunk is not hexadecimal"))?;
        if *left == 0 {
            return trailers(wire);
        }
    }
    let piece = take(wire, left)?;
    if *left == 0 {
        match wire.take_line()? {
            Some(line) if !line.is_empty() => return Err(malformed("a chunk is longer than its size")),
            Some(_) => {}
            // The next call finds the connection closed.
            None => {}
        }
    }
    Ok(piece)
}

fn trailers(wire: &mut Wire) -> Result<Piece> {
    let mut trailers = Headers::new();
    loop {
        let Some(line) = wire.take_line()? else {
            return Ok(Piece::Cut);
        };
        if line.is_empty() {
            return Ok(Piece::End(trailers));
        }
        let field = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) = field.ok_or_else(|| malformed("a trailer field is malformed"))?;
        trailers.add(name, value);
    }
}

fn malformed(reason: &str) -> Error {
    Error::new(format!("could not read the response: {reason}"))
}
