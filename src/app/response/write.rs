//! The writing half of a [`Context`]: status, fields, content, flushing and finishing.
//!
//! Content is buffered until the handler returns and then sent with its length. [`Context::flush`] sends the buffer
//! at once, and the rest of the response follows in chunks.
//!
//! Some misuse has no caller that could receive an error, such as writing after `finish` or content with a 204. It is
//! recorded and turns the response into a 500. If the head has been sent, it closes the connection instead.
//!
//! Names and values are those of the `http` crate, so application data cannot inject a line: [`Context::set_header`]
//! rejects the value and sets nothing (RFC 9110 §5.5).

use core::fmt::Display;
use core::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;

use bytes::Bytes;
use futures_core::Stream;
use serde::Serialize;

use super::content::Content;
use crate::app::body_channel::{Flush, KEPT_BYTES_MAX};
use crate::app::context::Context;
use crate::app::dispatch::App;
use crate::app::websocket::Upgrade;
use crate::error::{Error, IntoStatus, Result};
use crate::memory::{self, FallibleWriter, OutOfMemory};
use crate::message::{
    Body, BodyStream, BoxError, HeaderName, HeaderValue, Headers, MediaType, Method, ResponseHead, StatusCode, header,
};

/// The response as written so far.
#[derive(Default)]
pub(in crate::app) struct ResponseState {
    pub(in crate::app) head: ResponseHead,
    /// Content that is not yet flushed.
    written: Vec<u8>,
    /// Content passed as one piece and stored without a copy; `written` is then empty.
    whole: Bytes,
    pub(in crate::app) stream: Option<BodyStream>,
    /// The protocol that follows a 101.
    pub(in crate::app) upgrade: Option<Box<Upgrade>>,
    pub(in crate::app) trailers: Headers,
    /// The media type of the first write, used where the application sets no `Content-Type`.
    media_type: Option<MediaType>,
    pub(in crate::app) head_sent: bool,
    finished: bool,
    pub(in crate::app) completion: Completion,
    /// The first misuse that had no caller to return an error to.
    fault: Option<Fault>,
    /// The error that this response reports.
    pub(in crate::app) error: Option<Error>,
}

/// How a response ended for its peer: see [`Context::completion`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Completion {
    /// The peer gets the complete response.
    #[default]
    Whole,
    /// The connection closes in the middle of the response, so the peer can tell that it is incomplete.
    ///
    /// Either the handler failed after the head was sent, or the peer read too slowly.
    BrokenOff,
    /// The peer reset the connection, or closed it before the content that the handler reads was complete.
    ///
    /// A peer that closed only its sending half otherwise may still read, so its response can be
    /// [`Whole`](Self::Whole).
    PeerGone,
}

/// The status of a response whose peer left early: 499, as in nginx. It appears in logs and is never sent.
fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

/// Why the response cannot be sent as written.
#[derive(Clone, Copy)]
enum Fault {
    /// A call that was invalid at that point.
    Misuse(&'static str),
    /// The buffer for the content could not grow.
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
    /// Returns the status that the response has so far.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.head.status
    }

    /// Sets the status; the default is 200.
    pub fn set_status(&mut self, status: impl IntoStatus) {
        if self.response.head_sent {
            self.response.misuse("the status was set after the head had been sent");
        } else {
            self.response.head.status = status.into_status();
        }
    }

    /// Returns the fields that the response has so far.
    ///
    /// Framing fields (`Content-Length`, `Connection`, `Date` and others) are added when the head is sent.
    #[must_use]
    pub fn response_headers(&self) -> &Headers {
        &self.response.head.headers
    }

    /// Sets a field of the response and replaces every line of that name.
    ///
    /// # Errors
    ///
    /// 500, with nothing set, if the head has been sent or if the name or value is invalid: CR, LF or NUL in it, or a
    /// space or tab at either end, which recipients strip. Where the value comes from the client, `.or_status(400)?`
    /// reports the client's fault.
    pub fn set_header<N, V>(&mut self, name: N, value: V) -> Result
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        let (name, value) = self.field(name, value)?;
        self.response.head.headers.set(name, value);
        Ok(())
    }

    /// Adds a field line to the response and keeps lines of the same name.
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

    /// Removes every line of a field and returns whether there was one.
    ///
    /// It returns `false` after the head has been sent.
    pub fn clear_header(&mut self, name: impl TryInto<HeaderName>) -> bool {
        name.try_into()
            .is_ok_and(|name| self.response.head.headers.remove(&name))
    }

    /// Adds a trailer field, which a chunked response sends after its content (RFC 9110 §6.5).
    ///
    /// A response that is not chunked drops its trailers.
    ///
    /// # Errors
    ///
    /// 500, with nothing added, if the name or the value is invalid.
    pub fn add_trailer<N, V>(&mut self, name: N, value: V) -> Result
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        let (name, value) = convert(name, value)?;
        self.response.trailers.add(name, value);
        Ok(())
    }

    /// Appends text or bytes to the content.
    ///
    /// The first write chooses the default `Content-Type`: `text/plain; charset=utf-8` for text,
    /// `application/octet-stream` for bytes. Out of memory, the response becomes a 503; if its head has been sent,
    /// the connection closes.
    pub fn write(&mut self, content: impl Content) {
        if self.response.begin_content(content.media_type()) {
            self.response.append(content.content());
        }
    }

    /// Appends a value as JSON; the default `Content-Type` is then `application/json`.
    ///
    /// # Errors
    ///
    /// 500, with nothing written, if the value cannot be serialized; 503 if memory is short.
    pub fn write_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        if self.response.begin_content(MediaType::Json) {
            let buffer = self.response.buffer()?;
            let length = buffer.len();
            if let Err(error) = serde_json::to_writer(FallibleWriter(buffer), value) {
                // Remove the part that was serialized before the error.
                buffer.truncate(length);
                return Err(match error.io_error_kind() {
                    Some(ErrorKind::OutOfMemory) => OutOfMemory.into(),
                    _ => error.into(),
                });
            }
        }
        Ok(())
    }

    /// Appends a body: bytes, or a stream that ends the content.
    ///
    /// Bytes are not copied if they are the only content. The default `Content-Type` is `application/octet-stream`.
    pub fn write_body(&mut self, body: impl Into<Body>) {
        self.write_body_as(body.into(), MediaType::Bytes);
    }

    /// Ends the content with a stream.
    ///
    /// The server polls the stream as fast as the socket accepts data, after the handler has returned. An error in
    /// the stream, of any type that [`Body::stream`] takes, closes the connection, so the peer can tell that the
    /// content is incomplete.
    pub fn stream<E: Into<BoxError>>(&mut self, stream: impl Stream<Item = Result<Bytes, E>> + 'static) {
        self.write_body(Body::stream(stream));
    }

    /// Sends the head and the content written so far, and waits until the socket has accepted them.
    ///
    /// Only this handler waits for a slow peer. The rest of the response is chunked unless `Content-Length` was set.
    ///
    /// A response without content (to HEAD, or because of its status) is complete after the first flush. Every
    /// further flush fails, which ends a handler that was written for GET.
    ///
    /// # Errors
    ///
    /// [`is_peer_gone`](Error::is_peer_gone) if the peer is gone or has received the complete response; 500 if the
    /// response cannot be sent as written; 503 if memory is short.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: data that was handed over is sent before any later write and before the response ends.
    pub async fn flush(&mut self) -> Result {
        let Self {
            response,
            channel,
            head,
            ..
        } = self;
        response.check_head()?;
        // Joins a body passed as one piece with later writes before both move into the channel.
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
            // Free the memory now: a handler may keep writing after its peer is gone.
            response.written.clear();
            return Err(Error::peer_gone());
        }
        let flushed = poll_fn(|task| channel.poll_flushed(task.waker())).await;
        let buffer = flushed.map_err(|_| Error::peer_gone())?;
        // The driver returns the emptied buffer; reuse it unless the handler has allocated another meanwhile.
        if response.written.capacity() == 0 {
            response.written = buffer;
        }
        Ok(())
    }

    /// Ends the response: later writes are misuse.
    ///
    /// In [`prepare`](crate::app::RequestHandler::prepare), it skips the method. Calling it is optional.
    pub fn finish(&mut self) {
        self.response.finished = true;
    }

    /// Returns whether [`finish`](Self::finish) or [`redirect`](Self::redirect) has ended the response.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.response.finished
    }

    /// Answers 302 with `location` and finishes the response.
    ///
    /// [`Redirect`](crate::app::Redirect) offers the other statuses.
    ///
    /// # Errors
    ///
    /// 500 if the location has CR, LF or a character that is not visible ASCII.
    pub fn redirect(&mut self, location: &str) -> Result {
        self.set_header(header::LOCATION, location)?;
        self.set_status(StatusCode::FOUND);
        self.finish();
        Ok(())
    }

    /// Returns how the response ends for its peer, as far as is known.
    ///
    /// After `next.run(cx).await`, middleware reads [`Completion::Whole`] if the response can be sent as it is. In
    /// [`on_finish`](crate::app::RequestHandler::on_finish) the value is final: the server has passed the response to the
    /// kernel or has given it up.
    ///
    /// If the peer left before a head was sent, [`status`](Self::status) is 499, nginx's "client closed request".
    #[must_use]
    pub fn completion(&self) -> Completion {
        match self.response.completion {
            Completion::Whole if self.channel.is_peer_gone() => Completion::PeerGone,
            completion => completion,
        }
    }

    /// Returns the error that the response reports; middleware finds it here after `next.run(cx).await`.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.response.error.as_ref()
    }

    pub(in crate::app) fn write_body_as(&mut self, body: Body, media_type: MediaType) {
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
    /// Clears the response and retains memory up to the bound.
    pub(in crate::app) fn reset(&mut self, app: &App) {
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

    /// Discards everything written so far, so that an error page can replace it.
    pub(in crate::app) fn clear(&mut self, app: &App) {
        self.head.clear();
        self.written.clear();
        // `Bytes` can hold an owner of the application's type, whose drop may panic.
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

    /// The content that waits to be sent.
    pub(in crate::app) fn content(&self) -> &[u8] {
        if self.whole.is_empty() {
            &self.written
        } else {
            &self.whole
        }
    }

    /// Checks that the complete response can be sent as written.
    pub(in crate::app) fn check(&mut self, method: &Method) -> Result {
        self.check_head()?;
        let announced = self.head.headers.get(&header::CONTENT_LENGTH);
        // A response to HEAD and a 304 announce the length of the content they omit (RFC 9110 §8.6). A stream's length is
        // unknown before it ends.
        let may_differ =
            *method == Method::HEAD || self.head.status == StatusCode::NOT_MODIFIED || self.stream.is_some();
        match announced {
            Some(announced) if !may_differ && parse_length(announced) != Some(self.content().len() as u64) => Err(
                Error::new("the Content-Length that was set differs from the length of the content"),
            ),
            _ => Ok(()),
        }
    }

    /// Sets the default `Content-Type`, as the last step before the head is sent.
    pub(in crate::app) fn complete(&mut self) {
        if let Some(media_type) = self.media_type
            && self.has_content()
            && !self.head_sent
            && !self.head.headers.contains(&header::CONTENT_TYPE)
        {
            self.head.content_type = Some(media_type);
        }
    }

    /// Checks that the head can be sent with the content written so far.
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

    /// Gives the response up because its peer is gone.
    pub(in crate::app) fn abandon(&mut self) {
        self.completion = Completion::PeerGone;
        if !self.head_sent {
            self.head.status = client_closed_request();
        }
    }

    /// Whether the peer has the complete response: the head was sent, and no content follows it.
    pub(in crate::app) fn is_whole(&self, method: &Method) -> bool {
        self.head_sent && (*method == Method::HEAD || has_no_content(self.head.status))
    }

    fn has_content(&self) -> bool {
        self.stream.is_some() || !self.content().is_empty()
    }

    fn misuse(&mut self, what: &'static str) {
        self.fault.get_or_insert(Fault::Misuse(what));
    }

    /// Whether content may be added now. The first content chooses the default media type.
    fn begin_content(&mut self, media_type: MediaType) -> bool {
        if self.finished {
            self.misuse("content was written after the response had been finished");
        } else if self.stream.is_some() {
            self.misuse("content was written after a stream, which ends the content");
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
            // A uniquely owned `Bytes` converts without a copy.
            match whole.try_into_mut() {
                Ok(own) => self.written = own.into(),
                Err(shared) => memory::append(&mut self.written, &shared)?,
            }
        }
        Ok(&mut self.written)
    }

    /// Appends to the content, or records that memory ran out.
    fn append(&mut self, content: &[u8]) {
        let appended = self
            .buffer()
            .and_then(|buffer| memory::append_to_answer(buffer, content));
        if appended.is_err() {
            // Part of the content is missing, so the rest is useless: return its memory at once.
            self.written = Vec::new();
            self.fault.get_or_insert(Fault::OutOfMemory);
        }
    }

    /// Takes what is ready to send; [`buffer`](Self::buffer) has joined it. A copy of the status stays for later
    /// readers.
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

/// Whether a response with this status never has content (RFC 9110 §15.2, §15.3.5, §15.3.6, §15.4.5).
pub(in crate::app) fn has_no_content(status: StatusCode) -> bool {
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
        .map_err(|error| Error::new(format!("invalid field name: {error}")))?;
    let refuse = |why: &dyn Display| Error::new(format!("invalid value for the field `{name}`: {why}"));
    let value: HeaderValue = value.try_into().map_err(|error| refuse(&error))?;
    if has_outer_blanks(value.as_bytes()) {
        return Err(refuse(&"it starts or ends with a space or tab"));
    }
    Ok((name, value))
}

/// Whether a value starts or ends with a space or tab, which a recipient would strip (RFC 9110 §5.5).
fn has_outer_blanks(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
}

/// Parses a Content-Length, which is digits alone (RFC 9110 §8.6).
fn parse_length(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}
