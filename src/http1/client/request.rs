//! The writer of request heads (RFC 9112 §3, §5, §6): one pass into the caller's buffer, without allocating.
//!
//! The machine writes all framing. Fields of the application named `Connection`, `Transfer-Encoding` and
//! `Content-Length` are read but never copied. So the bytes sent cannot contradict what the connection does afterwards.

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, header};

use super::error::RequestError;
use crate::http1::encode::write_field;
use crate::http1::grammar::{self, TARGET_BYTES};
use crate::message::Headers;

/// Writes the head of a GET request; `fields` contains `Host`.
pub fn write_get(target: &PathAndQuery, fields: &Headers, out: &mut Vec<u8>) {
    // `Display` writes an empty path as `/`.
    write_head(&Method::GET, &target.to_string(), fields, out);
}

/// Writes the head of a request that has no content, such as an upgrade or CONNECT; `fields` contains `Host`, and
/// `target` has been checked.
pub fn write_head(method: &Method, target: &str, fields: &Headers, out: &mut Vec<u8>) {
    RequestLine { method, target }.write(out);
    for (name, value) in fields.iter() {
        write_field(name, value, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// The line of a request (RFC 9112 §3).
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'r> {
    /// Any method but CONNECT.
    pub method: &'r Method,
    /// In the form that its recipient needs: origin-form, or absolute-form for a proxy.
    pub target: &'r str,
}

/// The length of the content that an application is about to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestLength {
    /// No content.
    Empty,
    /// Exactly this many bytes.
    Known(u64),
    /// Unknown: chunked, unless the application's fields have a `Content-Length`.
    Unknown,
}

/// How the content of a request is delimited on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestContent {
    /// This many bytes are still to come.
    Length(u64),
    Chunked,
}

/// What the application's fields ask of the connection.
#[derive(Debug, Default)]
struct RequestOptions {
    content_length: Option<u64>,
    hosts: usize,
    close: bool,
}

/// A head that was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) content: RequestContent,
    /// The application asks for the end of the connection after this exchange.
    pub(super) close: bool,
}

/// Writes a whole head. A head that fails may have been written in part.
pub(super) fn write_framed_head(
    line: RequestLine<'_>,
    fields: &Headers,
    length: RequestLength,
    out: &mut Vec<u8>,
) -> Result<Written, RequestError> {
    line.check()?;
    line.write(out);
    let mut options = RequestOptions::default();
    for (name, value) in fields.iter() {
        if options.observe(name, value)? {
            write_field(name, value, out);
        }
    }
    if options.hosts != 1 {
        return Err(RequestError::Host);
    }
    let content = options.framing(line.method, length, out)?;
    if options.close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(Written {
        content,
        close: options.close,
    })
}

impl RequestLine<'_> {
    fn check(self) -> Result<(), RequestError> {
        if *self.method == Method::CONNECT {
            return Err(RequestError::Connect);
        }
        match !self.target.is_empty() && TARGET_BYTES.contains_all(self.target.as_bytes()) {
            true => Ok(()),
            false => Err(RequestError::Target),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.extend_from_slice(b" ");
        out.extend_from_slice(self.target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
    }
}

impl RequestOptions {
    /// Reads a field that concerns the connection; returns whether to copy the field.
    fn observe(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<bool, RequestError> {
        if *name == header::CONTENT_LENGTH {
            let length = grammar::decimal(value.as_bytes()).ok_or(RequestError::ContentLengthInvalid)?;
            match self.content_length.replace(length) {
                None => Ok(false),
                Some(_) => Err(RequestError::ContentLengthInvalid),
            }
        } else if *name == header::TRANSFER_ENCODING {
            match value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                true => Ok(false),
                false => Err(RequestError::TransferEncodingSet),
            }
        } else if *name == header::CONNECTION {
            self.close |= grammar::list(value.as_bytes()).any(|option| option.eq_ignore_ascii_case(b"close"));
            Ok(false)
        } else if *name == header::UPGRADE {
            Err(RequestError::Upgrade)
        } else {
            self.hosts += usize::from(*name == header::HOST);
            Ok(true)
        }
    }

    /// Decides how the content is delimited, and writes its line (RFC 9112 §6.3, from the sender's side).
    fn framing(
        &self,
        method: &Method,
        length: RequestLength,
        out: &mut Vec<u8>,
    ) -> Result<RequestContent, RequestError> {
        let known = match (self.content_length, length) {
            (Some(declared), RequestLength::Known(length)) if declared != length => {
                return Err(RequestError::ContentLengthMismatch);
            }
            (Some(declared), RequestLength::Empty) if declared != 0 => {
                return Err(RequestError::ContentLengthMismatch);
            }
            (Some(length), _) | (None, RequestLength::Known(length)) => Some(length),
            // Servers expect a length with these methods (RFC 9110 §8.6).
            (None, RequestLength::Empty) if [Method::POST, Method::PUT, Method::PATCH].contains(method) => Some(0),
            (None, RequestLength::Empty) => return Ok(RequestContent::Length(0)),
            (None, RequestLength::Unknown) => None,
        };
        let Some(length) = known else {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            return Ok(RequestContent::Chunked);
        };
        out.extend_from_slice(b"content-length: ");
        out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        out.extend_from_slice(b"\r\n");
        Ok(RequestContent::Length(length))
    }
}
