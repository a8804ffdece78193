//! The framing of a request's content (RFC 9112 §6.3), decided in one place, and the other fields that concern the
//! connection: `Host`, `Connection`, `Expect`, `Upgrade`.
//!
//! Invariant: a request whose length two readers could understand differently is rejected, never repaired. The
//! application sees the fields later but cannot change the decision. See `docs/threats.md#request-smuggling`.

use super::error::ParseError;
use super::grammar;
use super::version::MinorVersion;
use crate::message::Method;

/// How the content of a message is delimited, apart from the end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// No content. This includes HTTP/1.0 requests without a length, because closing never ends a request (RFC
    /// 9112 §6.3).
    Empty,
    /// This many bytes follow.
    Length(u64),
    /// Chunks follow.
    Chunked,
}

/// Collects, line by line, the fields that concern the connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionFields<'b> {
    host: Option<&'b [u8]>,
    content_length: Option<&'b [u8]>,
    transfer_encoding: Option<&'b [u8]>,
    expectation: Expectation,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade_protocol: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expectation {
    #[default]
    None,
    Continue,
    Unknown,
}

impl<'b> ConnectionFields<'b> {
    /// Reads one field line. Length and first letter of the name rule out nearly all lines. `_` and `-` are different
    /// bytes, so `Content_Length` is a different name.
    #[inline]
    pub(super) fn observe(&mut self, name: &[u8], value: &'b [u8]) -> Result<(), ParseError> {
        match (name.len(), name.first().map_or(0, u8::to_ascii_lowercase)) {
            (4, b'h') if is(name, b"Host") => set_once(&mut self.host, value, ParseError::HostRepeated),
            (6, b'e') if is(name, b"Expect") => {
                self.expect(value);
                Ok(())
            }
            (7, b'u') if is(name, b"Upgrade") => {
                self.upgrade_protocol |= !value.is_empty();
                Ok(())
            }
            (10, b'c') if is(name, b"Connection") => {
                self.connection(value);
                Ok(())
            }
            (14, b'c') if is(name, b"Content-Length") => {
                set_once(&mut self.content_length, value, ParseError::ContentLengthRepeated)
            }
            (17, b't') if is(name, b"Transfer-Encoding") => {
                set_once(&mut self.transfer_encoding, value, ParseError::TransferEncoding)
            }
            _ => Ok(()),
        }
    }

    /// ```text
    /// Connection        = #connection-option                             ; RFC 9110 §7.6.1
    /// ```
    fn connection(&mut self, value: &[u8]) {
        // The value nearly every client sends; the list below would give the same result.
        if value == b"keep-alive" {
            self.keep_alive = true;
            return;
        }
        for option in grammar::list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade_option |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// ```text
    /// Expect            = #expectation                                   ; RFC 9110 §10.1.1
    /// ```
    ///
    /// Only a single line with exactly `100-continue` is understood.
    fn expect(&mut self, value: &[u8]) {
        let first = self.expectation == Expectation::None;
        self.expectation = if first && value.eq_ignore_ascii_case(b"100-continue") {
            Expectation::Continue
        } else {
            Expectation::Unknown
        };
    }

    /// Returns whether `Host` has exactly this value.
    pub(super) fn names_host(&self, host: &str) -> bool {
        self.host == Some(host.as_bytes())
    }

    /// Returns the value of `Host`, which an HTTP/1.1 request must have exactly once for every form of target (RFC 9112
    /// §3.2). `is_known` skips the syntax check.
    ///
    /// It may differ from the authority of an absolute-form target, which takes precedence (§3.2.2). A proxy that
    /// follows the RFC also routes by the target, so both see the same host. Clients do write `http://a:80/` with
    /// `Host: a`.
    pub(super) fn host(&self, version: MinorVersion, is_known: bool) -> Result<Option<&'b [u8]>, ParseError> {
        let Some(host) = self.host else {
            return match version {
                MinorVersion::Zero => Ok(None),
                MinorVersion::One => Err(ParseError::HostMissing),
            };
        };
        if is_known || grammar::is_host(host) {
            Ok(Some(host))
        } else {
            Err(ParseError::HostInvalid)
        }
    }

    /// Decides how a request's content is delimited (RFC 9112 §6.3).
    ///
    /// Deviations, all of them stricter: rejects `Transfer-Encoding` beside `Content-Length` (§6.1 allows it),
    /// `Transfer-Encoding` in HTTP/1.0 (§6.1), and repeated `Content-Length` even if equal (§6.3 allows merging).
    pub(super) fn framing(&self, version: MinorVersion) -> Result<Framing, ParseError> {
        match (self.transfer_encoding, self.content_length) {
            (None, None) => Ok(Framing::Empty),
            (None, Some(digits)) => match grammar::decimal(digits) {
                Some(0) => Ok(Framing::Empty),
                Some(length) => Ok(Framing::Length(length)),
                None if digits.contains(&b',') => Err(ParseError::ContentLengthRepeated),
                None => Err(ParseError::ContentLength),
            },
            (Some(_), Some(_)) => Err(ParseError::LengthAndCoding),
            (Some(_), None) if version == MinorVersion::Zero => Err(ParseError::TransferEncodingInHttp10),
            (Some(codings), None) => transfer_coding(codings),
        }
    }

    /// Returns whether the peer waits for `100 Continue` before it sends content. HTTP/1.0 has no expectations (RFC
    /// 9110 §10.1.1).
    pub(super) fn expects_continue(&self, version: MinorVersion) -> Result<bool, ParseError> {
        match self.expectation {
            Expectation::None => Ok(false),
            _ if version == MinorVersion::Zero => Ok(false),
            Expectation::Continue => Ok(true),
            Expectation::Unknown => Err(ParseError::Expectation),
        }
    }

    /// Returns whether the connection may serve another request after this one (RFC 9112 §9.3).
    ///
    /// An HTTP/1.0 request with a method that usually has content, but without a length, may be followed by content
    /// that ends with the connection. So no request can follow it.
    pub(super) fn persists(&self, version: MinorVersion, method: &Method) -> bool {
        match version {
            MinorVersion::One => !self.close,
            MinorVersion::Zero => {
                let is_delimited = self.content_length.is_some() || *method == Method::GET || *method == Method::HEAD;
                self.keep_alive && !self.close && is_delimited
            }
        }
    }

    /// Returns whether `101` may answer this request (RFC 9110 §7.8). It stays an ordinary request until `101` is sent.
    pub(super) fn offers_upgrade(&self, version: MinorVersion) -> bool {
        version == MinorVersion::One && self.upgrade_option && self.upgrade_protocol
    }
}

/// Compares a name without case. The usual spelling is tried first, which is a comparison of words.
fn is<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    name == known || name.eq_ignore_ascii_case(known)
}

fn set_once<T>(slot: &mut Option<T>, value: T, repeated: ParseError) -> Result<(), ParseError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(repeated),
    }
}

/// ```text
/// Transfer-Encoding  = #transfer-coding                                  ; RFC 9112 §6.1
/// ```
///
/// Only exactly `chunked` is accepted. Known codings followed by one final `chunked` yield 501, because a server could
/// implement them. Everything else cannot be framed and yields 400.
fn transfer_coding(codings: &[u8]) -> Result<Framing, ParseError> {
    if codings.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let is_known = |coding: &[u8]| {
        REGISTERED_CODINGS
            .iter()
            .any(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
    };
    let mut from_the_right = codings.rsplitn(2, |&byte| byte == b',').map(grammar::trim_blanks);
    match (from_the_right.next(), from_the_right.next()) {
        (Some(last), Some(below)) if last.eq_ignore_ascii_case(b"chunked") && grammar::list(below).all(is_known) => {
            Err(ParseError::TransferCodingUnsupported)
        }
        _ => Err(ParseError::TransferEncoding),
    }
}

/// The transfer codings of RFC 9112 §7.2 other than `chunked`.
const REGISTERED_CODINGS: [&str; 5] = ["gzip", "x-gzip", "deflate", "compress", "x-compress"];
