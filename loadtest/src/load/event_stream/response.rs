//! The head of the response that opens an event stream (RFC 9112 section 6), checked strictly.

use anyhow::{Context, Result, bail, ensure};
use http::{HeaderName, HeaderValue, header};
use httparse::{Header, Status};

/// The longest response head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

const FIELDS_MAX: usize = 64;

/// How the bytes of the stream are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Chunked,
    UntilClose,
}

/// Encodes the request for `target` on `authority` (the `Host` field), with additional fields.
pub(super) fn request(authority: &str, target: &str, fields: &[(HeaderName, HeaderValue)]) -> Vec<u8> {
    let mut request = format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    let mut field = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            request.extend_from_slice(part);
        }
    };
    if !fields.iter().any(|(name, _)| name == header::ACCEPT) {
        field("Accept", b"text/event-stream");
    }
    for (name, value) in fields {
        field(name.as_str(), value.as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Reads the head of the response from consecutive pieces.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    received: Vec<u8>,
}

impl HeadReader {
    /// Reads received bytes; returns the framing and the bytes after the head once it is complete and correct, and
    /// `None` before.
    ///
    /// # Errors
    ///
    /// The response does not open an event stream; the error says why.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Framing, Vec<u8>)>> {
        self.received.extend_from_slice(bytes);
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let head_bytes = match response.parse(&self.received) {
            Ok(Status::Complete(head_bytes)) => head_bytes,
            Ok(Status::Partial) => {
                ensure!(
                    self.received.len() < HEAD_BYTES_MAX,
                    "the response head is longer than {HEAD_BYTES_MAX} bytes"
                );
                return Ok(None);
            }
            Err(error) => bail!("the response is not HTTP: {error}"),
        };
        let status = response.code.context("the response has no status")?;
        ensure!(status == 200, "expected status 200, got {status}");
        let framing = framing(response.headers)?;
        Ok(Some((framing, self.received.split_off(head_bytes))))
    }
}

fn framing(fields: &[Header<'_>]) -> Result<Framing> {
    let value = |name: &str| {
        let mut values = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        values.next_back().map(|field| field.value)
    };
    let content_type = value("content-type").context("the response has no Content-Type")?;
    let media_type = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    ensure!(
        media_type.eq_ignore_ascii_case(b"text/event-stream"),
        "expected content type text/event-stream, got {}",
        content_type.escape_ascii()
    );
    if let Some(coding) = value("content-encoding") {
        bail!(
            "the response is encoded as `{}`, which the client did not offer",
            coding.escape_ascii()
        );
    }
    ensure!(
        value("content-length").is_none(),
        "the response has a Content-Length, but an event stream has no length"
    );
    match value("transfer-encoding") {
        None => Ok(Framing::UntilClose),
        Some(coding) if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        Some(coding) => bail!("unknown transfer coding `{}`", coding.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: Chunked\r\n\r\n";

    #[test]
    fn request_accepts_event_streams_unless_a_field_says_otherwise() {
        let text = |fields: &[(HeaderName, HeaderValue)]| String::from_utf8(request("h:1", "/e?x", fields)).unwrap();
        assert_eq!(
            text(&[]),
            "GET /e?x HTTP/1.1\r\nHost: h:1\r\nAccept: text/event-stream\r\n\r\n"
        );
        let any = (header::ACCEPT, HeaderValue::from_static("*/*"));
        assert_eq!(text(&[any]), "GET /e?x HTTP/1.1\r\nHost: h:1\r\naccept: */*\r\n\r\n");
    }

    #[test]
    fn correct_head_is_read_at_every_split_and_later_bytes_are_kept() {
        let transcript = format!("{CHUNKED}8\r\ndata: 1\n");
        for middle in 0..=transcript.len() {
            let (begin, end) = transcript.as_bytes().split_at(middle);
            let mut reader = HeadReader::default();
            let (framing, surplus) = match reader.receive(begin).unwrap() {
                Some((framing, surplus)) => (framing, [surplus.as_slice(), end].concat()),
                None => reader.receive(end).unwrap().unwrap(),
            };
            assert_eq!(framing, Framing::Chunked);
            assert_eq!(surplus, b"8\r\ndata: 1\n", "split at {middle}");
        }
        let close = CHUNKED.replace("Transfer-Encoding: Chunked", "Connection: close");
        let (framing, _) = HeadReader::default().receive(close.as_bytes()).unwrap().unwrap();
        assert_eq!(framing, Framing::UntilClose);
    }

    #[test]
    fn wrong_heads_are_named() {
        for (from, to, mistake) in [
            ("200 OK", "404 Not Found", "expected status 200, got 404"),
            ("HTTP/1.1 200 OK", "SSH-2.0-OpenSSH", "not HTTP"),
            ("Content-Type", "X-Type", "no Content-Type"),
            ("text/event-stream", "text/html", "got text/html; charset=utf-8"),
            ("Transfer-Encoding: Chunked", "Content-Length: 5", "has no length"),
            ("Chunked", "gzip, chunked", "unknown transfer coding `gzip, chunked`"),
            ("charset", "x\r\nContent-Encoding: br\r\nX: y", "encoded as `br`"),
        ] {
            let head = CHUNKED.replacen(from, to, 1);
            let error = HeadReader::default().receive(head.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(mistake), "{head:?}: {error:#}");
        }
    }

    #[test]
    fn endless_head_is_an_error() {
        let mut reader = HeadReader::default();
        assert!(reader.receive(b"HTTP/1.1 200 OK\r\n").unwrap().is_none());
        let failed = (0..HEAD_BYTES_MAX).any(|_| reader.receive(b"X: y\r\n").is_err());
        assert!(failed && reader.received.len() <= HEAD_BYTES_MAX + 6);
    }
}
