//! The writing half of a [`Context`]: status, fields, content, flushing and finishing.
//!
//! Content is buffered until the handler returns and then sent with its length. [`Context::flush`] sends the buffer
//! at once, and the rest of the response follows in chunks.
//!
//! Some misuse has no caller that could receive an error, such as writing after `finish` or content with a 204. It is
//! recorded and turns the response into a 500. If the head has been sent, it closes the connection instead.
//!
//! Names and values are those of the `http` crate, so application data cannot inject a line (RFC 9110 §5.5).
//! [`Context::set_header`] rejects the value and sets nothing.

use core::fmt::Display;
use core::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;

use bytes::Bytes;
use futures_core::Stream;
use serde::Serialize;

use super::content::Content;
use super::location::location;
use super::state::Completion;
use crate::app::context::Context;
use crate::error::{Error, IntoStatus, Result};
use crate::memory::{FallibleWriter, OutOfMemory};
use crate::message::{Body, BoxError, HeaderName, HeaderValue, Headers, MediaType, StatusCode, header};

impl Context {
    /// Returns the status that the response has so far.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.head.status
    }

    /// Sets the status; the default is 200.
    pub fn set_status(&mut self, status: impl IntoStatus) {
        if self.response.head_sent {
            self.response
                .misuse("could not set the status: the head has been sent; set it before the first flush");
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
    /// 500, with nothing set, if the head has been sent or if the name or value is invalid. Invalid are CR, LF and NUL,
    /// and a space or tab at either end, which recipients strip. Where the value comes from the client,
    /// `.or_status(400)?` reports the client's fault.
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

    /// Adds a trailer field, which follows the content (RFC 9110 §6.5).
    ///
    /// A response over HTTP/1.1 that is not chunked drops its trailers; over HTTP/2 every response has them.
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
        self.response.trailers_mut().add(name, value);
        Ok(())
    }

    /// Appends text or bytes to the content.
    ///
    /// The first write chooses the default `Content-Type`: `text/plain; charset=utf-8` for text,
    /// `application/octet-stream` for bytes. Out of memory, the response becomes a 503; if its head has been sent,
    /// the connection closes.
    pub fn write(&mut self, content: impl Content) {
        let bytes = content.content();
        if !bytes.is_empty() && self.response.begin_content(content.media_type()) {
            self.response.append(bytes);
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
    /// [`is_peer_gone`](Error::is_peer_gone) if the peer is gone or has received the complete response. 500 if the
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
        if response.head_sent && !response.has_unsent() {
            return Ok(());
        }
        if response.is_whole(head.method()) {
            response.written.clear();
            return Err(Error::peer_gone());
        }
        if response.encoder().is_some() {
            // Boxed, so that other flushes have small futures.
            Box::pin(response.encode_flush()).await?;
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

    /// Answers 302 with `reference` as its location, and finishes the response.
    ///
    /// Characters that a URI cannot have, such as spaces, backslashes and those outside of ASCII, are percent-encoded.
    /// [`Redirect`](crate::app::Redirect) offers the other statuses.
    ///
    /// A reference that begins with `//` or with a scheme leads to another host, so check one that a client has sent.
    ///
    /// # Errors
    ///
    /// 500 if the reference has a control character or the head has been sent. Where the reference comes from the
    /// client, `.or_status(400)?` reports the client's fault.
    pub fn redirect(&mut self, reference: &str) -> Result {
        self.set_header(header::LOCATION, location(reference)?)?;
        self.set_status(StatusCode::FOUND);
        self.finish();
        Ok(())
    }

    /// Returns how the response ends for its peer, as far as is known.
    ///
    /// After `next.run(cx).await`, middleware reads [`Completion::Whole`] if the response can be sent as it is. In
    /// [`on_finish`](crate::app::RequestHandler::on_finish) the value is final: the server has passed the response to
    /// the kernel or has given it up.
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
        self.response.error()
    }

    #[expect(
        clippy::inline_always,
        reason = "on the path of every response; the compiler knows the kind of content at each call"
    )]
    #[inline(always)]
    pub(in crate::app) fn write_body_as(&mut self, body: Body, media_type: MediaType) {
        if body.is_empty() || !self.response.begin_content(media_type) {
            return;
        }
        match body {
            Body::Empty => {}
            Body::Bytes(bytes) if self.response.content().is_empty() => self.response.whole = bytes,
            Body::Bytes(bytes) => self.response.append(&bytes),
            Body::Stream(stream) => self.response.set_stream(stream),
        }
    }

    fn field<N, V>(&self, name: N, value: V) -> Result<(HeaderName, HeaderValue)>
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        let (name, value) = convert(name, value)?;
        if self.response.head_sent {
            return Err(Error::new(format!(
                "could not set the field `{name}`: the head has been sent; set fields before the first flush"
            )));
        }
        Ok((name, value))
    }
}

/// Converts a name and a value, and rejects what a recipient would read differently.
pub(super) fn convert<N, V>(name: N, value: V) -> Result<(HeaderName, HeaderValue)>
where
    N: TryInto<HeaderName, Error: Display>,
    V: TryInto<HeaderValue, Error: Display>,
{
    let name = name.try_into().map_err(|error| {
        Error::new(format!(
            "could not set a field: its name is invalid ({error}); use letters, digits and `-`"
        ))
    })?;
    let refuse = |why: &dyn Display| Error::new(format!("could not set the field `{name}`: {why}"));
    let value: HeaderValue = value.try_into().map_err(|error| {
        refuse(&format_args!(
            "its value is invalid ({error}); use visible ASCII characters and blanks between them"
        ))
    })?;
    if has_outer_blanks(value.as_bytes()) {
        return Err(refuse(&"its value starts or ends with a space or tab; trim it"));
    }
    Ok((name, value))
}

/// Whether a value starts or ends with a space or tab, which a recipient would strip (RFC 9110 §5.5).
fn has_outer_blanks(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
}
