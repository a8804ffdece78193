//! A request under construction, and the three ways to send it.

use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;

use http::header;
use serde::Serialize;
use squall_shards::ShardId;

use super::connector::Connector;
use super::event_stream::TestEventStream;
use super::http2::{self, Http2Request};
use super::multipart::{FormPart, FormParts};
use super::response::TestResponse;
use super::websocket::TestWebSocket;
use crate::app::Peer;
use crate::error::{Error, Result};
use crate::message::{HeaderName, HeaderValue, Headers, Method};

/// The port of the client's address that applications see by default.
const CLIENT_PORT: u16 = 54321;

/// A request under construction.
#[must_use = "a request does nothing until it is sent"]
pub struct TestRequest<'a> {
    connector: &'a Connector,
    method: Method,
    target: String,
    headers: Headers,
    body: RequestBody,
    trailers: Headers,
    peer: Peer,
    shard: Option<ShardId>,
    is_http2: bool,
    /// Why the request cannot be sent; the sending call returns it, so that the calls before can be chained.
    invalid: Option<Error>,
}

/// The content to send.
enum RequestBody {
    None,
    Whole(Vec<u8>),
    Chunks(Vec<Vec<u8>>),
    Multipart(FormParts),
}

impl<'a> TestRequest<'a> {
    pub(super) fn new(connector: &'a Connector, method: Method, target: &str) -> Self {
        let mut headers = Headers::new();
        headers.set(header::HOST, HeaderValue::from_static("localhost"));
        let invalid = invalid_target(target)
            .map(|why| Error::new(format!("could not send the request: the target `{target}` {why}")));
        Self {
            connector,
            method,
            target: target.to_owned(),
            headers,
            body: RequestBody::None,
            trailers: Headers::new(),
            peer: Peer {
                address: Some(SocketAddr::from(([127, 0, 0, 1], CLIENT_PORT))),
                is_secure: false,
            },
            shard: None,
            is_http2: false,
            invalid,
        }
    }

    /// Adds a field line; `host` replaces the default one.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name_and_value = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_bytes(value.as_ref()).ok());
        match name_and_value {
            Some((header::HOST, value)) => self.headers.set(header::HOST, value),
            Some((name, value)) => self.headers.add(name, value),
            None => {
                return self.reject(Error::new(format!(
                    "could not send the request: the field `{}` has a byte that HTTP forbids; remove it",
                    name.escape_default()
                )));
            }
        }
        self
    }

    /// Adds a cookie in a field line of its own, without escaping.
    pub fn cookie(self, name: &str, value: &str) -> Self {
        self.header("cookie", format!("{name}={value}"))
    }

    /// Sets the content to a value as JSON, with its type.
    ///
    /// The sending call returns the error of a value that does not encode.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.encoded("application/json", serde_json::to_vec(value))
    }

    /// Sets the content to a form, with its type; a `Vec` in the value repeats its key.
    ///
    /// The sending call returns the error of a value that does not encode, such as one with nested structs.
    pub fn form<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.encoded("application/x-www-form-urlencoded", serde_html_form::to_string(value))
    }

    /// Adds a field to a multipart form, which becomes the content.
    ///
    /// The value is sent unchanged. [`form_file`](Self::form_file) adds to the same form.
    pub fn form_field(self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.form_part(FormPart {
            name: name.to_owned(),
            file: None,
            content: value.into(),
        })
    }

    /// Adds a file to a multipart form, which becomes the content: the name of its field, its own name, its media type
    /// and its bytes.
    pub fn form_file(self, name: &str, file_name: &str, media_type: &str, content: impl Into<Vec<u8>>) -> Self {
        if HeaderValue::from_str(media_type).is_err() {
            return self.reject(Error::new(format!(
                "could not send the request: the media type {media_type:?} has a character that fields forbid; remove it"
            )));
        }
        self.form_part(FormPart {
            name: name.to_owned(),
            file: Some((file_name.to_owned(), media_type.to_owned())),
            content: content.into(),
        })
    }

    fn form_part(mut self, part: FormPart) -> Self {
        if !matches!(self.body, RequestBody::Multipart(_)) {
            self.body = RequestBody::Multipart(FormParts::default());
        }
        if let RequestBody::Multipart(form) = &mut self.body {
            form.push(part);
        }
        self
    }

    /// Sets the content, sent with its length.
    pub fn body(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.body = RequestBody::Whole(content.into());
        self
    }

    /// Sets the content, sent in chunks without a length; the handler may receive the bytes in other pieces.
    pub fn chunks<T: Into<Vec<u8>>>(mut self, chunks: impl IntoIterator<Item = T>) -> Self {
        self.body = RequestBody::Chunks(chunks.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a trailer field, sent after the content; the content is then sent in chunks.
    pub fn trailer(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.trailers.add(name, value);
        self
    }

    /// Sets the remote end that the application sees, instead of an unencrypted connection from 127.0.0.1.
    pub fn peer(mut self, peer: Peer) -> Self {
        self.peer = peer;
        self
    }

    /// Selects the shard that serves the request, instead of the next one in turn.
    pub fn shard(mut self, shard: ShardId) -> Self {
        self.shard = Some(shard);
        self
    }

    /// Sends the request over HTTP/2, on a connection of its own, instead of HTTP/1.1.
    ///
    /// WebSockets and event streams of this client always use HTTP/1.1.
    pub fn http2(mut self) -> Self {
        self.is_http2 = true;
        self
    }

    /// Sends the request and waits until the exchange is over, so that the handler's `on_finish` has run.
    ///
    /// # Errors
    ///
    /// The request cannot be encoded, the exchange takes longer than [`TestClient::timeout`](super::TestClient::timeout),
    /// or the connection closes before the head of the response is complete.
    pub fn send(mut self) -> Result<TestResponse> {
        if self.is_http2 {
            return self.send_http2();
        }
        let request = self.bytes()?;
        let mut wire = self.connector.connect(self.shard, self.peer)?;
        let response = wire.exchange(&request, |wire| TestResponse::read(wire, &self.method))?;
        wire.finish()?;
        Ok(response)
    }

    fn send_http2(mut self) -> Result<TestResponse> {
        self.complete()?;
        let content = match &self.body {
            RequestBody::Whole(content) => content.clone(),
            RequestBody::Chunks(chunks) => chunks.concat(),
            RequestBody::None | RequestBody::Multipart(_) => Vec::new(),
        };
        let request = Http2Request {
            method: &self.method,
            target: &self.target,
            fields: &self.headers,
            is_secure: self.peer.is_secure,
            content: &content,
            has_length: matches!(self.body, RequestBody::Whole(_)) && self.trailers.is_empty(),
            trailers: &self.trailers,
        };
        let mut wire = self.connector.connect(self.shard, self.peer)?;
        let response = http2::exchange(&mut wire, &request)?;
        wire.finish()?;
        Ok(response)
    }

    /// Opens a WebSocket with this request; subprotocols stand in the field `sec-websocket-protocol`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send). If the application rejects the handshake, [`Error::status`] is the status of its
    /// response.
    pub fn websocket(mut self) -> Result<TestWebSocket> {
        let handshake = TestWebSocket::handshake(&mut self.headers)?;
        let request = self.bytes()?;
        let wire = self.connector.connect(self.shard, self.peer)?;
        TestWebSocket::open(wire, &request, &handshake)
    }

    /// Opens a stream of Server-Sent Events with this request.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send). If the response is an error, [`Error::status`] is its status.
    pub fn event_stream(mut self) -> Result<TestEventStream> {
        if !self.headers.contains(&header::ACCEPT) {
            self = self.header("accept", "text/event-stream");
        }
        let request = self.bytes()?;
        let wire = self.connector.connect(self.shard, self.peer)?;
        TestEventStream::open(wire, &request, &self.method)
    }

    fn encoded<C: Into<Vec<u8>>, E: Into<Error>>(self, media_type: &str, content: Result<C, E>) -> Self {
        match content {
            Ok(content) => self.header("content-type", media_type).body(content),
            Err(error) => self.reject(error.into()),
        }
    }

    /// Notes why the request cannot be sent; the first reason counts.
    fn reject(mut self, error: Error) -> Self {
        self.invalid = self.invalid.or(Some(error));
        self
    }

    /// Encodes a multipart form; or returns why the request cannot be sent.
    fn complete(&mut self) -> Result {
        if let Some(invalid) = self.invalid.take() {
            return Err(invalid);
        }
        if let RequestBody::Multipart(form) = &self.body {
            let (media_type, content) = form.encode();
            self.headers
                .set(header::CONTENT_TYPE, HeaderValue::from_str(&media_type)?);
            self.body = RequestBody::Whole(content);
        }
        Ok(())
    }

    /// Returns the bytes of the request.
    fn bytes(&mut self) -> Result<Vec<u8>> {
        self.complete()?;
        let chunks = match std::mem::replace(&mut self.body, RequestBody::None) {
            RequestBody::None if self.trailers.is_empty() => return self.head_then(&[]),
            RequestBody::Whole(content) if self.trailers.is_empty() => {
                let is_framed = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].iter();
                if !is_framed.clone().any(|name| self.headers.contains(name)) {
                    self.headers.set(header::CONTENT_LENGTH, content.len().into());
                }
                return self.head_then(&content);
            }
            RequestBody::None | RequestBody::Multipart(_) => Vec::new(),
            RequestBody::Whole(content) => vec![content],
            RequestBody::Chunks(chunks) => chunks,
        };
        self.headers
            .set(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let mut content = Vec::new();
        // An empty chunk would end the content.
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            write!(content, "{:x}\r\n", chunk.len())?;
            content.extend_from_slice(chunk);
            content.extend_from_slice(b"\r\n");
        }
        content.extend_from_slice(b"0\r\n");
        write_fields(&self.trailers, &mut content);
        content.extend_from_slice(b"\r\n");
        self.head_then(&content)
    }

    /// Returns the head with content behind it.
    fn head_then(&self, content: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        write!(bytes, "{} {} HTTP/1.1\r\n", self.method, self.target)?;
        write_fields(&self.headers, &mut bytes);
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(content);
        Ok(bytes)
    }
}

/// Returns why a target cannot be sent.
fn invalid_target(target: &str) -> Option<String> {
    // The absolute form names another host, as a request to a proxy does.
    let is_absolute = target.contains("://");
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("has a character that URLs encode; percent-encode it".to_owned())
    } else if target.starts_with('/') || target == "*" || is_absolute {
        None
    } else {
        Some(format!("does not begin with a slash; write `/{target}`"))
    }
}

fn write_fields(fields: &Headers, out: &mut Vec<u8>) {
    for (name, value) in fields.iter() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

impl fmt::Debug for TestRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TestRequest")
            .field("method", &self.method)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
