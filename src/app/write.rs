//! The writing half of a [`Context`]: status, fields, content, flushing and finishing.
//!
//! What is written is kept until the handler returns, and then goes out with its length; [`Context::flush`] sends what there is and
//! the response goes on in chunks. Misuse that has no caller to tell (writing after `finish`, content with a 204) is remembered and
//! turns the response into a 500, or cuts the connection if the head is out. Fields hold the `http` crate's names and values, so
//! nothing from application data can break a line: [`Context::set_header`] refuses it and sets nothing (RFC 9110 §5.5).

use core::fmt::Display;
use core::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;

use bytes::Bytes;
use futures_core::Stream;
use serde::Serialize;

use super::channel::{Flush, KEPT_BYTES_MAX};
use super::content::Content;
use super::context::Context;
use super::dispatch::App;
use super::websocket::Upgrade;
use crate::error::{Error, IntoStatus, Result};
use crate::memory::{self, FallibleWriter, OutOfMemory};
use crate::message::{
    Body, BodyStream, BoxError, HeaderName, HeaderValue, Headers, MediaType, Method, ResponseHead, StatusCode, header,
};

/// The response as far as it has been made.
#[derive(Default)]
pub(super) struct ResponseState {
    pub(super) head: ResponseHead,
    /// Content written and not yet flushed.
    written: Vec<u8>,
    /// Content handed over in one piece, kept as it is: then `written` is empty.
    whole: Bytes,
    pub(super) stream: Option<BodyStream>,
    /// What the connection becomes if this is a 101.
    pub(super) upgrade: Option<Box<Upgrade>>,
    pub(super) trailers: Headers,
    /// The type of what was written first, for a response that was given none.
    media_type: Option<MediaType>,
    pub(super) head_sent: bool,
    finished: bool,
    pub(super) completion: Completion,
    /// What went wrong first and had no caller to tell.
    fault: Option<Fault>,
    /// The error this response was made from.
    pub(super) error: Option<Error>,
}

/// How a response ends for its peer: [`Context::completion`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Completion {
    /// The peer gets all of the response.
    #[default]
    Whole,
    /// The connection is closed in the middle of the response, so that the peer sees that the rest is missing: the handler failed
    /// after its head had been sent, or the peer took the response too slowly.
    BrokenOff,
    /// The peer has reset the connection, or has closed it in the middle of content that the handler reads. A peer that has closed its half
    /// otherwise may still read: its response is whole.
    PeerGone,
}

/// The status of a response that the peer did not wait for: 499, nginx's "client closed request". It is never sent.
fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

/// Why the response cannot be sent as it has been made.
#[derive(Clone, Copy)]
enum Fault {
    /// The application did what may not be done, and when.
    Misuse(&'static str),
    /// Not all that was written could be kept.
    OutOfMemory,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Misuse(what) => Self::new(what),
            Fault::OutOfMemory => OutOfMemory.into(),
        }
    }
}

impl Context {
    /// The status of the response so far.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.head.status
    }

    /// Sets the status; 200 if it is never set.
    pub fn set_status(&mut self, status: impl IntoStatus) {
        if self.response.head_sent {
            self.response.misuse("the status was set after the head had been sent");
        } else {
            self.response.head.status = status.into_status();
        }
    }

    /// The fields of the response so far. Those of the framing (`Content-Length`, `Connection`, `Date`…) are added when it is sent.
    #[must_use]
    pub fn response_headers(&self) -> &Headers {
        &self.response.head.headers
    }

    /// Sets a field of the response, replacing every line of that name.
    ///
    /// # Errors
    ///
    /// 500, with nothing set, if the name or the value cannot be sent (CR, LF or NUL in it, for instance, or blanks around it, which no
    /// recipient would get to see) or if the head has been sent. Where the value is the client's, `.or_status(400)?` says whose fault it is.
    pub fn set_header<N, V>(&mut self, name: N, value: V) -> Result
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        let (name, value) = self.field(name, value)?;
        self.response.head.headers.set(name, value);
        Ok(())
    }

    /// Adds a field line to the response, keeping those of the same name.
    ///
    /// # Errors
    ///
    /// As [`set_header`](Self::set_header).
    pub fn add_header<N, V>(&mut self, name: N, value: V) -> Result
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        let (name, value) = self.field(name, value)?;
        self.response.head.headers.add(name, value);
        Ok(())
    }

    /// Removes every line of a field from the response; says whether there was one. After the head has been sent there is none.
    pub fn clear_header(&mut self, name: impl TryInto<HeaderName>) -> bool {
        name.try_into()
            .is_ok_and(|name| self.response.head.headers.remove(&name))
    }

    /// Adds a trailer field, sent after the content of a chunked response (RFC 9110 §6.5); a response that is not chunked has none.
    ///
    /// # Errors
    ///
    /// 500, with nothing added, if the name or the value cannot be sent.
    pub fn add_trailer<N, V>(&mut self, name: N, value: V) -> Result
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        let (name, value) = convert(name, value)?;
        self.response.trailers.add(name, value);
        Ok(())
    }

    /// Appends text or bytes to the content. A response that is given no `Content-Type` gets `text/plain; charset=utf-8` if text
    /// was written first, `application/octet-stream` if bytes were. Where there is no memory for it, the response becomes 503, or is cut
    /// if its head has been sent.
    pub fn write(&mut self, content: impl Content) {
        if self.response.begin_content(content.media_type()) {
            self.response.append(content.content());
        }
    }

    /// Appends a value as JSON, and makes the response `application/json` unless it was given another type.
    ///
    /// # Errors
    ///
    /// 500, with nothing written, if the value cannot be serialized; 503 if there is no memory for it.
    pub fn write_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        if self.response.begin_content(MediaType::Json) {
            let buffer = self.response.buffer()?;
            let length = buffer.len();
            if let Err(error) = serde_json::to_writer(FallibleWriter(buffer), value) {
                buffer.truncate(length);
                return Err(match error.io_error_kind() {
                    Some(ErrorKind::OutOfMemory) => OutOfMemory.into(),
                    _ => error.into(),
                });
            }
        }
        Ok(())
    }

    /// Appends a whole body: bytes without copying them where nothing else has been written, or a stream, which then is the end of
    /// the content. The response gets the type `application/octet-stream` unless it was given another.
    pub fn write_body(&mut self, body: impl Into<Body>) {
        self.write_body_as(body.into(), MediaType::Bytes);
    }

    /// Makes a stream the end of the content. The driver draws from it as fast as the socket takes it, after the handler has
    /// returned. An error in it, of any type that [`Body::stream`] takes, cuts the connection, so that the peer cannot take a part for
    /// the whole.
    pub fn stream<E: Into<BoxError>>(&mut self, stream: impl Stream<Item = Result<Bytes, E>> + 'static) {
        self.write_body(Body::stream(stream));
    }

    /// Sends the head, if it has not been sent, and what has been written, and waits until the socket has taken it: a slow peer
    /// holds its own handler up and nobody else. The response goes on chunked unless `Content-Length` was set.
    ///
    /// Where a response has no content (to HEAD, or by its status) the first flush sends all of it. A further one fails, so that
    /// a handler made for GET does not go on for nobody.
    ///
    /// # Errors
    ///
    /// An error nobody reads if the peer has gone, or is to get nothing more; 500 if the response cannot be sent as it is, 503 if
    /// there is no memory for it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was handed over is sent all the same, before anything that is written later and before the response ends.
    pub async fn flush(&mut self) -> Result {
        let Self {
            response,
            channel,
            head,
            ..
        } = self;
        response.check_head()?;
        response.buffer()?;
        response.complete();
        if response.head_sent && response.content().is_empty() {
            return Ok(());
        }
        if response.is_whole(head.method()) {
            response.written.clear();
            return Err(Error::peer_gone());
        }
        let channel = Rc::clone(channel);
        let submitted = poll_fn(|task| channel.poll_submit(|| response.take_flush(), task.waker())).await;
        if submitted.is_err() {
            // A handler that goes on writing for a peer that has gone gathers no memory with it.
            response.written.clear();
            return Err(Error::peer_gone());
        }
        let flushed = poll_fn(|task| channel.poll_flushed(task.waker())).await;
        let buffer = flushed.map_err(|_| Error::peer_gone())?;
        if response.written.capacity() == 0 {
            response.written = buffer;
        }
        Ok(())
    }

    /// Ends the response: nothing more may be written. In [`prepare`](super::RequestHandler::prepare) it means that the verb is not
    /// called. A response need not be finished by hand.
    pub fn finish(&mut self) {
        self.response.finished = true;
    }

    /// Whether the response has been ended with [`finish`](Self::finish) or [`redirect`](Self::redirect).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.response.finished
    }

    /// Answers 302 with `location`, and finishes. [`Redirect`](super::Redirect) knows the other statuses.
    ///
    /// # Errors
    ///
    /// 500 if the location cannot be sent, as it holds CR, LF or anything else but visible ASCII.
    pub fn redirect(&mut self, location: &str) -> Result {
        self.set_header(header::LOCATION, location)?;
        self.set_status(StatusCode::FOUND);
        self.finish();
        Ok(())
    }

    /// How the response ends for its peer, as far as is known. Middleware asks after `next.run(cx).await`: then [`Completion::Whole`] says
    /// that the response as it stands can be sent. [`on_finish`](super::RequestHandler::on_finish) asks when the server has handed the response
    /// to the kernel, or has given up: then it is final.
    ///
    /// Where the handler failed because the peer left and no head was sent, [`status`](Self::status) is 499, nginx's "client closed request".
    #[must_use]
    pub fn completion(&self) -> Completion {
        match self.response.completion {
            Completion::Whole if self.channel.is_peer_gone() => Completion::PeerGone,
            completion => completion,
        }
    }

    /// The error the response was made from, once it was: middleware finds it here after `next.run(cx).await`.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.response.error.as_ref()
    }

    pub(super) fn write_body_as(&mut self, body: Body, media_type: MediaType) {
        if matches!(body, Body::Empty) || !self.response.begin_content(media_type) {
            return;
        }
        match body {
            Body::Empty => {}
            Body::Bytes(bytes) if self.response.content().is_empty() => self.response.whole = bytes,
            Body::Bytes(bytes) => self.response.append(&bytes),
            Body::Stream(stream) => self.response.stream = Some(stream),
        }
    }

    fn field<N, V>(&self, name: N, value: V) -> Result<(HeaderName, HeaderValue)>
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        if self.response.head_sent {
            return Err(Error::new("a field was set after the head had been sent"));
        }
        convert(name, value)
    }
}

impl ResponseState {
    /// Forgets the response; keeps memory up to the bound.
    pub(super) fn reset(&mut self, app: &App) {
        self.clear(app);
        self.head_sent = false;
        self.completion = Completion::Whole;
        if let Some(error) = self.error.take() {
            app.discard(error);
        }
        if self.written.capacity() > KEPT_BYTES_MAX {
            self.written = Vec::new();
        }
    }

    /// Forgets what has been made so far, so that an error page can be written instead.
    pub(super) fn clear(&mut self, app: &App) {
        self.head.clear();
        self.written.clear();
        // Bytes may have an owner of the application's.
        if !self.whole.is_empty() {
            app.discard(core::mem::take(&mut self.whole));
        }
        if let Some(stream) = self.stream.take() {
            app.discard(stream);
        }
        if let Some(upgrade) = self.upgrade.take() {
            app.discard(upgrade);
        }
        self.trailers.clear();
        self.media_type = None;
        self.finished = false;
        self.fault = None;
    }

    /// Content that waits to be sent.
    pub(super) fn content(&self) -> &[u8] {
        if self.whole.is_empty() {
            &self.written
        } else {
            &self.whole
        }
    }

    /// Whether the response can be sent as it is, when whoever made it is done.
    pub(super) fn check(&mut self, method: &Method) -> Result {
        self.check_head()?;
        let announced = self.head.headers.get(&header::CONTENT_LENGTH);
        let may_differ =
            *method == Method::HEAD || self.head.status == StatusCode::NOT_MODIFIED || self.stream.is_some();
        match announced {
            Some(announced) if !may_differ && parse_length(announced) != Some(self.content().len() as u64) => Err(
                Error::new("the Content-Length that was set is not the length of the content"),
            ),
            _ => Ok(()),
        }
    }

    /// Adds the type of content that was given none, as the last thing before the head is sent.
    pub(super) fn complete(&mut self) {
        if let Some(media_type) = self.media_type
            && self.has_content()
            && !self.head_sent
            && !self.head.headers.contains(&header::CONTENT_TYPE)
        {
            self.head.content_type = Some(media_type);
        }
    }

    /// Whether the head can be sent as it is with what has been written.
    fn check_head(&mut self) -> Result {
        let status = self.head.status;
        if let Some(fault) = self.fault.take() {
            Err(fault.into())
        } else if self.head_sent {
            Ok(())
        } else if status.is_informational() && (status != StatusCode::SWITCHING_PROTOCOLS || self.upgrade.is_none()) {
            Err(Error::new(format!("{status} is not the status of a final response")))
        } else if has_no_content(status) && self.has_content() {
            Err(Error::new(format!("a {status} response was given content")))
        } else {
            Ok(())
        }
    }

    /// Gives the response up because its peer has left.
    pub(super) fn abandon(&mut self) {
        self.completion = Completion::PeerGone;
        if !self.head_sent {
            self.head.status = client_closed_request();
        }
    }

    /// Whether all that the peer is to get has been sent: a head that no content follows.
    pub(super) fn is_whole(&self, method: &Method) -> bool {
        self.head_sent && (*method == Method::HEAD || has_no_content(self.head.status))
    }

    fn has_content(&self) -> bool {
        self.stream.is_some() || !self.content().is_empty()
    }

    fn misuse(&mut self, what: &'static str) {
        self.fault.get_or_insert(Fault::Misuse(what));
    }

    /// Whether content may be added now; the first to be added names the type.
    fn begin_content(&mut self, media_type: MediaType) -> bool {
        if self.finished {
            self.misuse("content was written after the response had been finished");
        } else if self.stream.is_some() {
            self.misuse("content was written after a stream had been made the end of it");
        } else {
            self.media_type.get_or_insert(media_type);
            return true;
        }
        false
    }

    /// The buffer to append to, with everything written so far in it.
    fn buffer(&mut self) -> Result<&mut Vec<u8>, OutOfMemory> {
        if !self.whole.is_empty() {
            let whole = core::mem::take(&mut self.whole);
            match whole.try_into_mut() {
                Ok(own) => self.written = own.into(),
                Err(shared) => memory::append(&mut self.written, &shared)?,
            }
        }
        Ok(&mut self.written)
    }

    /// Appends to the content, or notes that there is no memory for it.
    fn append(&mut self, content: &[u8]) {
        let appended = self
            .buffer()
            .and_then(|buffer| memory::append_to_answer(buffer, content));
        if appended.is_err() {
            self.written = Vec::new();
            self.fault.get_or_insert(Fault::OutOfMemory);
        }
    }

    /// Takes what there is to send, which [`buffer`](Self::buffer) has made one piece. The status stays to be looked at.
    fn take_flush(&mut self) -> Flush {
        let head = (!self.head_sent).then(|| {
            let status = self.head.status;
            core::mem::replace(&mut self.head, ResponseHead::new(status))
        });
        self.head_sent = true;
        let content_length = head
            .as_ref()
            .and_then(|head| head.headers.get(&header::CONTENT_LENGTH))
            .and_then(parse_length);
        Flush {
            head,
            data: core::mem::take(&mut self.written),
            content_length,
        }
    }
}

/// Whether a response of this status never has content (RFC 9110 §15.2, §15.3.5, §15.3.6, §15.4.5).
pub(super) fn has_no_content(status: StatusCode) -> bool {
    status.is_informational()
        || matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        )
}

fn convert<N, V>(name: N, value: V) -> Result<(HeaderName, HeaderValue)>
where
    N: TryInto<HeaderName, Error: Display>,
    V: TryInto<HeaderValue, Error: Display>,
{
    let name = name
        .try_into()
        .map_err(|error| Error::new(format!("this is no field name: {error}")))?;
    let refuse = |why: &dyn Display| Error::new(format!("this cannot be the value of the field `{name}`: {why}"));
    let value: HeaderValue = value.try_into().map_err(|error| refuse(&error))?;
    if has_outer_blanks(value.as_bytes()) {
        return Err(refuse(&"a blank begins or ends it"));
    }
    Ok((name, value))
}

/// Whether blanks surround a value: they are no part of it, and a recipient takes them off (RFC 9110 §5.5).
fn has_outer_blanks(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
}

/// A Content-Length is digits alone (RFC 9110 §8.6).
fn parse_length(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}
