//! One exchange over HTTP/2, with the client's half of the machine.

use std::rc::Rc;

use http::header;
use squall_shards::clock;

use super::response::TestResponse;
use super::wire::Wire;
use crate::error::{Error, Result};
use crate::http2::{Connection, ErrorCode, Event, Limits, RequestStart, StreamKey};
use crate::message::{HeaderName, HeaderValue, Headers, Method, RequestHead};

/// A request with all of its content.
pub(super) struct Http2Request<'a> {
    pub(super) method: &'a Method,
    pub(super) target: &'a str,
    pub(super) fields: &'a Headers,
    pub(super) is_secure: bool,
    pub(super) content: &'a [u8],
    /// Whether the length of the content is announced.
    pub(super) has_length: bool,
    pub(super) trailers: &'a Headers,
}

/// The client's end of a connection with one stream.
struct Exchange<'w> {
    wire: &'w mut Wire,
    machine: Connection,
    output: Vec<u8>,
    fields: RequestHead,
}

/// Sends a request and reads its response to the end.
pub(super) fn exchange(wire: &mut Wire, request: &Http2Request<'_>) -> Result<TestResponse> {
    let mut exchange = Exchange {
        wire,
        machine: Connection::client(Rc::new(Limits::default()), request.is_secure, clock::now()),
        output: Vec::new(),
        fields: RequestHead::new(),
    };
    exchange.machine.begin(clock::now(), &mut exchange.output);
    exchange.run(request)
}

impl Exchange<'_> {
    fn run(&mut self, request: &Http2Request<'_>) -> Result<TestResponse> {
        let stream = self.open(request)?;
        let mut unsent = request.content;
        let is_ended = unsent.is_empty() && request.trailers.is_empty();
        let mut has_ended = is_ended;
        let mut response = TestResponse::default();
        loop {
            if !has_ended {
                has_ended = self.send_content(stream, &mut unsent, request.trailers)?;
            }
            let output = std::mem::take(&mut self.output);
            self.wire.send(&output)?;
            if self.read(stream, &mut response)? {
                return Ok(response);
            }
            if !self.wire.receive()? {
                return match response.has_begun() {
                    true => Ok(response.aborted()),
                    false => Err(Error::new(
                        "could not read the response: the application closed the connection before its head",
                    )),
                };
            }
        }
    }

    fn open(&mut self, request: &Http2Request<'_>) -> Result<StreamKey> {
        let host = request.fields.get(&header::HOST).map(HeaderValue::as_bytes);
        let host = String::from_utf8_lossy(host.unwrap_or_default()).into_owned();
        let mut fields = request.fields.clone();
        fields.remove(&header::HOST);
        let start = RequestStart {
            method: request.method,
            scheme: if request.is_secure { "https" } else { "http" },
            authority: &host,
            path: request.target,
            fields: &fields,
            length: (request.has_length && !request.content.is_empty()).then_some(request.content.len() as u64),
            ends: request.content.is_empty() && request.trailers.is_empty(),
        };
        let opened = self.machine.open(start, &mut self.output);
        opened.map_err(|error| Error::new(format!("could not send the request: {error}")))
    }

    /// Sends what the windows admit; true once the end was sent.
    fn send_content(&mut self, stream: StreamKey, unsent: &mut &[u8], trailers: &Headers) -> Result<bool> {
        let now = clock::now();
        self.machine.set_ready(stream, unsent.len(), now);
        // What its turn covers needs no room beside other streams.
        let mut has_turn = false;
        while let Some((stream, bytes)) = self.machine.next_sender(now) {
            let (piece, rest) = unsent.split_at(bytes.min(unsent.len()));
            has_turn = rest.is_empty();
            if has_turn {
                break;
            }
            self.machine
                .send_data(stream, piece, &mut self.output)
                .map_err(into_error)?;
            *unsent = rest;
        }
        let fits = has_turn || self.machine.fits(stream, unsent.len()) || !self.machine.is_open(stream);
        if fits {
            let ended = self.machine.send_last(stream, unsent, Some(trailers), &mut self.output);
            ended.map_err(into_error)?;
        }
        Ok(fits)
    }

    /// Reads what has come; true once the response is complete or broken off.
    fn read(&mut self, stream: StreamKey, response: &mut TestResponse) -> Result<bool> {
        loop {
            let mut input = self.wire.received();
            let presented = input.len();
            let received = self
                .machine
                .receive(&mut input, &mut self.fields, clock::now(), &mut self.output);
            let consumed = presented - input.len();
            let mut is_over = false;
            match received {
                Ok(Event::NeedData | Event::Blocked) => {
                    self.wire.consume(consumed);
                    return Ok(false);
                }
                Ok(Event::Response { status, ends, .. }) if !status.is_informational() => {
                    response.begin(status, headers(&self.fields));
                    is_over = ends;
                }
                Ok(Event::Data { data, .. }) => response.push(data),
                Ok(Event::Trailers { .. }) => {
                    response.end(headers(&self.fields));
                    is_over = true;
                }
                Ok(Event::End { .. }) => is_over = true,
                // The rest of the request is not wanted; the response is complete.
                Ok(Event::Reset { code, .. }) if code == ErrorCode::NO_ERROR => is_over = true,
                Ok(Event::Reset { .. } | Event::Closed) => {
                    *response = std::mem::take(response).aborted();
                    is_over = true;
                }
                Ok(Event::GoAway { .. } | Event::Response { .. } | Event::Request { .. } | Event::Refused { .. }) => {}
                Err(error) => return Err(Error::new(format!("could not read the response: {error}"))),
            }
            self.wire.consume(consumed);
            self.machine.set_unread(stream, 0, &mut self.output);
            if is_over {
                return Ok(true);
            }
        }
    }
}

fn headers(head: &RequestHead) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in head.fields().iter() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            headers.add(name, value);
        }
    }
    headers
}

fn into_error(error: crate::http2::SendError) -> Error {
    Error::new(format!("could not send the request: {error}"))
}
