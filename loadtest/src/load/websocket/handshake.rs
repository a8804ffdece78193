//! The opening handshake (RFC 6455 section 4.1): the request, and strict checks of the response.
//!
//! The request offers no subprotocol, and permessage-deflate only on demand. A response that names anything else fails,
//! as section 4.1 requires, and so does one that declines the offer, because the run measures it.

use anyhow::{Context, Result, bail, ensure};
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderName, HeaderValue};
use httparse::{Header, Status};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::deflate;

/// The longest response head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

const FIELDS_MAX: usize = 64;

const EXTENSIONS: &str = "sec-websocket-extensions";

/// The handshake of one connection, up to the first byte after the response head.
#[derive(Debug)]
pub(crate) struct Handshake {
    key: String,
    /// Whether permessage-deflate is offered.
    is_deflated: bool,
    received: Vec<u8>,
}

impl Handshake {
    /// Makes a handshake with a random key and these additional request fields.
    pub(crate) fn new(fields: &[(HeaderName, HeaderValue)]) -> Self {
        Self {
            key: generate_key(),
            is_deflated: fields.iter().any(|(name, _)| name == SEC_WEBSOCKET_EXTENSIONS),
            received: Vec::new(),
        }
    }

    /// Whether messages may be compressed after the handshake.
    pub(crate) fn is_deflated(&self) -> bool {
        self.is_deflated
    }

    /// Encodes the request for `target` on `authority` (the `Host` field), with additional fields.
    pub(crate) fn request(&self, authority: &str, target: &str, fields: &[(HeaderName, HeaderValue)]) -> Vec<u8> {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n",
            self.key
        );
        let mut request = request.into_bytes();
        for (name, value) in fields {
            request.extend_from_slice(name.as_ref());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    }

    /// Reads received bytes; returns the bytes after the response head once it is complete and correct, and `None`
    /// before.
    ///
    /// # Errors
    ///
    /// The response does not open a WebSocket; the error says why.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
        self.received.extend_from_slice(bytes);
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let head_bytes = match response.parse(&self.received) {
            Ok(Status::Complete(head_bytes)) => head_bytes,
            Ok(Status::Partial) => {
                ensure!(
                    self.received.len() < HEAD_BYTES_MAX,
                    "the answer to the handshake is longer than {HEAD_BYTES_MAX} bytes"
                );
                return Ok(None);
            }
            Err(error) => bail!("the answer to the handshake is not HTTP: {error}"),
        };
        let status = response.code.context("the answer to the handshake has no status")?;
        if status != 101 {
            let reason = response.reason.unwrap_or_default();
            bail!("the handshake was answered {status} {reason}, not 101 Switching Protocols");
        }
        check_fields(
            response.headers,
            &derive_accept_key(self.key.as_bytes()),
            self.is_deflated,
        )?;
        Ok(Some(self.received.split_off(head_bytes)))
    }
}

fn check_fields(fields: &[Header<'_>], accept: &str, is_deflated: bool) -> Result<()> {
    ensure!(
        has_token(fields, "upgrade", "websocket"),
        "the 101 has no `Upgrade: websocket`"
    );
    ensure!(
        has_token(fields, "connection", "upgrade"),
        "the 101 has no `Connection: Upgrade`"
    );
    let mut accepts = values(fields, "sec-websocket-accept");
    let given = accepts.next().context("the 101 has no Sec-WebSocket-Accept")?;
    ensure!(
        given.trim_ascii() == accept.as_bytes() && accepts.next().is_none(),
        "the 101's Sec-WebSocket-Accept is `{}`, but this key's is `{accept}`",
        given.escape_ascii()
    );
    let mut extensions = values(fields, EXTENSIONS);
    ensure!(
        !is_deflated || extensions.next().is_some_and(deflate::is_taken),
        "the 101 declines permessage-deflate without context takeover; remove --deflate or enable it on the server"
    );
    for unasked in [EXTENSIONS, "sec-websocket-protocol"] {
        let asked = usize::from(is_deflated && unasked == EXTENSIONS);
        if let Some(value) = values(fields, unasked).nth(asked) {
            bail!(
                "the 101 names `{unasked}: {}`, which the client did not offer",
                value.escape_ascii()
            );
        }
    }
    Ok(())
}

fn values<'head>(fields: &'head [Header<'head>], name: &'head str) -> impl Iterator<Item = &'head [u8]> {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value)
}

fn has_token(fields: &[Header<'_>], name: &str, token: &str) -> bool {
    values(fields, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|member| member.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the accept value of RFC 6455 section 1.3.
    fn handshake() -> Handshake {
        Handshake {
            key: "dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
            is_deflated: false,
            received: Vec::new(),
        }
    }

    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn answer(fields: &str) -> String {
        format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n\r\n")
    }

    #[test]
    fn request_has_the_required_fields() {
        let origin = (http::header::ORIGIN, HeaderValue::from_static("null"));
        let request = handshake().request("example.com:81", "/ws?x=1", &[origin]);
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "GET /ws?x=1 HTTP/1.1\r\nHost: example.com:81\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\norigin: null\r\n\r\n"
        );
        assert_ne!(Handshake::new(&[]).key, Handshake::new(&[]).key);
    }

    #[test]
    fn correct_response_is_read_at_every_split_and_later_bytes_are_kept() {
        let answer = answer(&format!(
            "UPGRADE: WebSocket\r\nconnection: keep-alive , upgrade\r\nSec-WebSocket-Accept: {ACCEPT}"
        ));
        let transcript = [answer.as_bytes(), b"\x82\x01a"].concat();
        for middle in 0..=transcript.len() {
            let (begin, end) = transcript.split_at(middle);
            let mut handshake = handshake();
            let followed = match handshake.receive(begin).unwrap() {
                Some(surplus) => [surplus.as_slice(), end].concat(),
                None => handshake.receive(end).unwrap().expect("the answer is complete"),
            };
            assert_eq!(followed, b"\x82\x01a", "split at {middle}");
        }
    }

    #[test]
    fn wrong_responses_are_named() {
        let both = "Upgrade: websocket\r\nConnection: Upgrade";
        for (answer, mistake) in [
            (
                "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(),
                "answered 404 Not Found, not 101",
            ),
            ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), "not HTTP"),
            (
                answer(&format!("Connection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}")),
                "no `Upgrade: websocket`",
            ),
            (
                answer(&format!("Upgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}")),
                "no `Connection: Upgrade`",
            ),
            (answer(both), "no Sec-WebSocket-Accept"),
            (
                answer(&format!("{both}\r\nSec-WebSocket-Accept: nonsense")),
                "`nonsense`, but this key's is `s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`",
            ),
            (
                answer(&format!(
                    "{both}\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Accept: {ACCEPT}"
                )),
                "Sec-WebSocket-Accept",
            ),
            (
                answer(&format!(
                    "{both}\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Extensions: permessage-deflate"
                )),
                "`sec-websocket-extensions: permessage-deflate`, which the client did not offer",
            ),
            (
                answer(&format!(
                    "{both}\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: chat"
                )),
                "`sec-websocket-protocol: chat`, which the client did not offer",
            ),
        ] {
            let error = handshake().receive(answer.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(mistake), "{answer:?}: {error:#}");
        }
    }

    #[test]
    fn offered_compression_must_be_accepted() {
        let both = format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}");
        let offering = || Handshake {
            is_deflated: Handshake::new(&[deflate::offer()]).is_deflated(),
            ..handshake()
        };
        let taken = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover";
        let right = answer(&format!("{both}\r\n{taken}"));
        offering().receive(right.as_bytes()).unwrap().unwrap();
        for (wrong, mistake) in [
            (answer(&both), "declines permessage-deflate"),
            (
                answer(&format!("{both}\r\n{taken}\r\n{taken}")),
                "which the client did not offer",
            ),
        ] {
            let error = offering().receive(wrong.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(mistake), "{error:#}");
        }
    }

    #[test]
    fn endless_response_head_is_an_error() {
        let mut handshake = handshake();
        assert_eq!(
            handshake.receive(b"HTTP/1.1 101 Switching Protocols\r\n").unwrap(),
            None
        );
        let error = (0..HEAD_BYTES_MAX)
            .find_map(|_| handshake.receive(b"X: y\r\n").err())
            .expect("it never ends");
        assert!(format!("{error:#}").contains("handshake"), "{error:#}");
        assert!(handshake.received.len() <= HEAD_BYTES_MAX + 6);
    }
}
