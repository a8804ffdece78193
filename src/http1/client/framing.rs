//! The framing of a response's content, as its client reads it (RFC 9112 §6.3), and whether the connection persists
//! (§9.3). Both are decided here, once, from the fields of the head.

use http::{StatusCode, header};

use super::error::ResponseError;
use crate::http1::framing::Framing;
use crate::http1::grammar;
use crate::http1::version::MinorVersion;
use crate::message::ResponseHead;

/// How the content of a response is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseFraming {
    /// By itself: nothing, a length, or chunks.
    Delimited(Framing),
    /// By the end of the connection.
    UntilClose,
}

/// The fields of a response that concern the connection.
#[derive(Debug, Default)]
pub(super) struct ResponseFields {
    content_length: Option<u64>,
    is_chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl ResponseFields {
    /// Reads the fields of a head.
    ///
    /// Equal lengths count once, as RFC 9112 §6.3 allows: servers behind careless proxies send them.
    pub(super) fn of(head: &ResponseHead, version: MinorVersion) -> Result<Self, ResponseError> {
        let mut fields = Self::default();
        for (name, value) in head.headers.iter() {
            let value = value.as_bytes();
            if *name == header::CONTENT_LENGTH {
                for digits in grammar::list(value) {
                    let length = grammar::decimal(digits).ok_or(ResponseError::ContentLength)?;
                    if fields
                        .content_length
                        .replace(length)
                        .is_some_and(|before| before != length)
                    {
                        return Err(ResponseError::ContentLength);
                    }
                }
            } else if *name == header::TRANSFER_ENCODING {
                let is_sound = version == MinorVersion::One && value.eq_ignore_ascii_case(b"chunked");
                if !is_sound || fields.is_chunked {
                    return Err(ResponseError::TransferEncoding);
                }
                fields.is_chunked = true;
            } else if *name == header::CONNECTION {
                for option in grammar::list(value) {
                    fields.close |= option.eq_ignore_ascii_case(b"close");
                    fields.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
        }
        match fields.is_chunked && fields.content_length.is_some() {
            true => Err(ResponseError::LengthAndCoding),
            false => Ok(fields),
        }
    }

    /// Decides how the content of a final response is delimited; `is_head` says that the request's method is HEAD.
    pub(super) fn framing(&self, status: StatusCode, is_head: bool) -> Result<ResponseFraming, ResponseError> {
        let announces_content = self.is_chunked || self.content_length.is_some_and(|length| length > 0);
        let framing = match status {
            // A reader that knows 204 would take the content for the next response (RFC 9110 §8.6).
            StatusCode::NO_CONTENT if announces_content => return Err(ResponseError::ContentNotAllowed),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Framing::Empty,
            _ if is_head => Framing::Empty,
            _ if self.is_chunked => Framing::Chunked,
            _ => match self.content_length {
                Some(length) => Framing::Length(length),
                None => return Ok(ResponseFraming::UntilClose),
            },
        };
        Ok(ResponseFraming::Delimited(framing))
    }

    /// Returns whether the server keeps the connection open after this response (RFC 9112 §9.3).
    pub(super) fn persists(&self, version: MinorVersion) -> bool {
        match version {
            MinorVersion::One => !self.close,
            MinorVersion::Zero => self.keep_alive && !self.close,
        }
    }
}
