//! The fields of a message that this end sends (RFC 9113 §8.2, §8.3.2).
//!
//! The machine writes the framing: fields of HTTP/1 connections are dropped, and `content-length` is written where the
//! length is known.

use super::error::SendError;
use super::hpack::{Encoder, Indexing};
use crate::message::{HeaderName, HeaderValue, Headers, HttpDate, ResponseHead, StatusCode, decimal, header};

/// How the content of a response is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Framing {
    /// What `content-length` says; `None` writes no field.
    line: Option<u64>,
    /// Content that must follow; `None` for any number of bytes.
    pub(super) left: Option<u64>,
    has_date: bool,
}

/// Decides the framing of a response (RFC 9110 §8.6).
pub(super) fn framing(head: &ResponseHead, length: Option<u64>, is_head: bool) -> Result<Framing, SendError> {
    let mut declared = None;
    let mut has_date = false;
    for (name, value) in head.headers.iter() {
        if *name == header::CONTENT_LENGTH {
            let length = decimal(value.as_bytes()).ok_or(SendError::ContentLengthInvalid)?;
            if declared.replace(length).is_some() {
                return Err(SendError::ContentLengthInvalid);
            }
        } else {
            has_date |= *name == header::DATE;
        }
    }
    let line = match head.status {
        status if status.is_informational() => None,
        StatusCode::NO_CONTENT => None,
        // Only the application knows the length the 200 would have had (RFC 9110 §15.4.5).
        StatusCode::NOT_MODIFIED => declared,
        StatusCode::RESET_CONTENT => Some(0),
        _ => match (declared, length) {
            (Some(declared), Some(length)) if declared != length && !is_head => {
                return Err(SendError::ContentLengthMismatch);
            }
            (declared, length) => declared.or(length),
        },
    };
    Ok(Framing {
        line,
        left: line,
        has_date,
    })
}

/// Writes `:status`.
pub(super) fn put_status(encoder: &mut Encoder, status: StatusCode, out: &mut Vec<u8>) {
    let index = match status.as_u16() {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => return encoder.put(b":status", status.as_str().as_bytes(), Indexing::Insert, out),
    };
    encoder.put_static(index, out);
}

/// Writes the fields that the application set.
pub(super) fn put_fields(encoder: &mut Encoder, head: &ResponseHead, out: &mut Vec<u8>) {
    for (name, value) in head.headers.iter() {
        put_field(encoder, name, value, out);
    }
    if let Some(media_type) = head.default_content_type() {
        encoder.put(b"content-type", media_type.as_str().as_bytes(), Indexing::Insert, out);
    }
}

/// Writes the fields of the machine.
pub(super) fn put_own_fields(encoder: &mut Encoder, framing: Framing, date: &HttpDate, out: &mut Vec<u8>) {
    if let Some(length) = framing.line {
        let mut digits = itoa::Buffer::new();
        encoder.put(b"content-length", digits.format(length).as_bytes(), Indexing::Omit, out);
    }
    if !framing.has_date {
        encoder.put(b"date", date.as_str().as_bytes(), Indexing::Insert, out);
    }
}

pub(super) fn put_trailers(encoder: &mut Encoder, trailers: &Headers, out: &mut Vec<u8>) {
    for (name, value) in trailers.iter() {
        put_field(encoder, name, value, out);
    }
}

/// Writes a field, unless HTTP/2 forbids it or the machine writes it.
pub(super) fn put_field(encoder: &mut Encoder, name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    let indexing = match name.as_str().as_bytes() {
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" | b"content-length" => {
            return;
        }
        // Cookies and credentials can be guessed byte by byte if a proxy indexes them.
        b"set-cookie" | b"authorization" | b"cookie" | b"proxy-authorization" => Indexing::Never,
        b"etag" | b"last-modified" | b"location" | b"content-range" | b"content-disposition" | b"age" | b"expires" => {
            Indexing::Omit
        }
        _ => Indexing::Insert,
    };
    // A value with a blank at an end would be malformed (RFC 9113 §8.2.1).
    encoder.put(name.as_str().as_bytes(), trim_blanks(value.as_bytes()), indexing, out);
}

fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
