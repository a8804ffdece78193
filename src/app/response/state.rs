//! The response as written so far, and how it ended.
//!
//! It records misuse that has no caller to report to, such as a write after `finish`
//! or content with a 204. The response then becomes a 500.

use bytes::Bytes;

use super::compression::ContentEncoder;
use super::rare::RareParts;
use super::set_cookie::SetCookies;
use super::slices::{SLICE_BYTES, Slices};
use crate::app::body_channel::{Flush, RETAINED_BYTES_MAX};
use crate::app::shared::Shared;
use crate::app::websocket::Upgrade;
use crate::error::{Error, Result};
use crate::memory::{self, OutOfMemory};
use crate::message::{
    BodyStream, HeaderValue, Headers, MediaType, Method, ResponseHead, StatusCode, has_no_content, header, parse_digits,
};

static NO_TRAILERS: Headers = Headers::new();

/// The response as written so far.
#[derive(Default)]
pub(in crate::app) struct ResponseState {
    pub(in crate::app) head: ResponseHead,
    /// Content that is not yet flushed.
    pub(super) written: Vec<u8>,
    /// Content passed as one piece and stored without a copy; `written` is then empty.
    pub(super) whole: Bytes,
    pub(in crate::app) cookies: SetCookies,
    pub(super) rare: Option<Box<RareParts>>,
    pub(in crate::app) head_sent: bool,
    pub(super) finished: bool,
    pub(in crate::app) completion: Completion,
    /// The first misuse that had no caller to return an error to.
    fault: Option<Fault>,
}

/// How a response ended for its peer: see [`Context::completion`](crate::app::Context::completion).
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

impl ResponseState {
    /// Clears the response and retains memory up to the bound.
    #[inline]
    pub(in crate::app) fn reset(&mut self, shared: &Shared) {
        if let Some(rare) = self.rare.take() {
            rare.discard(shared);
        }
        self.clear(shared);
        self.cookies.clear();
        self.head_sent = false;
        self.completion = Completion::Whole;
        if self.written.capacity() > RETAINED_BYTES_MAX {
            self.written = Vec::new();
        }
    }

    /// Discards everything written so far except cookies, so that an error page can replace it.
    pub(in crate::app) fn clear(&mut self, shared: &Shared) {
        self.head.clear();
        self.written.clear();
        // `Bytes` can hold an owner of the application's type, whose drop may panic.
        if !self.whole.is_empty() {
            shared.discard(core::mem::take(&mut self.whole));
        }
        if let Some(rare) = &mut self.rare {
            rare.clear(shared);
        }
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

    /// The same if it is one piece that was passed without a copy.
    pub(in crate::app) fn whole(&self) -> Option<&Bytes> {
        (!self.whole.is_empty()).then_some(&self.whole)
    }

    /// Checks that the complete response can be sent as written.
    #[inline]
    pub(in crate::app) fn check(&mut self, method: &Method) -> Result {
        self.check_head()?;
        let announced = self.head.headers.get(&header::CONTENT_LENGTH);
        // A response to HEAD and a 304 announce the length of the content they omit (RFC 9110 §8.6). A stream's length
        // is unknown before it ends.
        let may_differ = *method == Method::HEAD || self.head.status == StatusCode::NOT_MODIFIED || self.has_stream();
        match announced {
            Some(announced) if !may_differ && parse_length(announced) != Some(self.content().len() as u64) => {
                Err(Error::new(
                    "could not send the response: its Content-Length differs from the length of its content; leave the field out",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Adds the cookies to the head, as the last step before the head is sent.
    #[inline]
    pub(in crate::app) fn complete(&mut self) {
        self.cookies.move_into(&mut self.head.headers);
    }

    /// Checks that the head can be sent with the content written so far.
    pub(super) fn check_head(&mut self) -> Result {
        let status = self.head.status;
        if let Some(fault) = self.fault.take() {
            Err(fault.into())
        } else if self.head_sent {
            Ok(())
        } else if status.is_informational() && (status != StatusCode::SWITCHING_PROTOCOLS || !self.has_upgrade()) {
            Err(Error::new(format!(
                "could not send the response: {status} is not a final status; use 200 or higher"
            )))
        } else if has_no_content(status) && self.has_content() {
            Err(Error::new(format!(
                "could not send the response: a {status} cannot have content; write none or set another status"
            )))
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

    pub(super) fn has_content(&self) -> bool {
        self.has_stream() || !self.content().is_empty()
    }

    pub(super) fn misuse(&mut self, what: &'static str) {
        self.fault.get_or_insert(Fault::Misuse(what));
    }

    /// Whether content may be added now. The first content chooses the default media type.
    pub(in crate::app) fn begin_content(&mut self, media_type: MediaType) -> bool {
        if self.finished {
            self.misuse("could not write content: the response is finished; write before `finish` and `redirect`");
        } else if self.has_stream() {
            self.misuse("could not write content: a stream ends the content; write before the stream");
        } else {
            self.head.content_type.get_or_insert(media_type);
            return true;
        }
        false
    }

    /// The buffer to append to, with everything written so far in it.
    pub(in crate::app) fn buffer(&mut self) -> Result<&mut Vec<u8>, OutOfMemory> {
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

    /// Turns a large shared content into a stream of its slices, for a driver that would copy the whole.
    pub(in crate::app) fn slice_whole(&mut self) {
        // Content without another owner moves, which copies nothing.
        if self.whole.len() <= SLICE_BYTES || self.whole.is_unique() || self.has_stream() {
            return;
        }
        let whole = core::mem::take(&mut self.whole);
        if !self.head_sent {
            let length = HeaderValue::from(whole.len());
            self.head.headers.set(header::CONTENT_LENGTH, length);
        }
        self.set_stream(Box::pin(Slices(whole)));
    }

    /// Appends to the content, or records that memory ran out.
    pub(super) fn append(&mut self, content: &[u8]) {
        let appended = self
            .buffer()
            .and_then(|buffer| memory::append_to_answer(buffer, content));
        if appended.is_err() {
            // Part of the content is missing, so the rest is useless: return its memory at once.
            self.written = Vec::new();
            self.fault.get_or_insert(Fault::OutOfMemory);
        }
    }

    /// Whether content waits that was not flushed.
    pub(super) fn has_unsent(&self) -> bool {
        !self.content().is_empty() || self.encoder().is_some_and(ContentEncoder::has_output)
    }

    /// Takes what is ready to send; [`buffer`](Self::buffer) has joined it. A copy of the status stays for later
    /// readers.
    pub(in crate::app) fn take_flush(&mut self) -> Flush {
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
            data: match self.rare.as_mut().and_then(|rare| rare.encoder_mut()) {
                Some(encoder) => encoder.take_flush(&mut self.written),
                None => core::mem::take(&mut self.written),
            },
            content_length,
            opens_tunnel: false,
            end: None,
        }
    }
}

/// The parts that few responses have.
impl ResponseState {
    pub(in crate::app) fn has_stream(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.stream.is_some())
    }

    pub(in crate::app) fn stream_mut(&mut self) -> Option<&mut BodyStream> {
        self.rare.as_mut()?.stream.as_mut()
    }

    pub(in crate::app) fn take_stream(&mut self) -> Option<BodyStream> {
        self.rare.as_mut()?.stream.take()
    }

    pub(in crate::app) fn set_stream(&mut self, stream: BodyStream) {
        self.rare_mut().stream = Some(stream);
    }

    pub(in crate::app) fn has_upgrade(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.upgrade.is_some())
    }

    pub(in crate::app) fn take_upgrade(&mut self) -> Option<Box<Upgrade>> {
        self.rare.as_mut()?.upgrade.take()
    }

    pub(in crate::app) fn set_upgrade(&mut self, upgrade: Box<Upgrade>) {
        self.rare_mut().upgrade = Some(upgrade);
    }

    pub(in crate::app) fn trailers(&self) -> &Headers {
        self.rare.as_ref().map_or(&NO_TRAILERS, |rare| &rare.trailers)
    }

    pub(in crate::app) fn take_trailers(&mut self) -> Headers {
        self.rare
            .as_mut()
            .map_or_else(Headers::new, |rare| core::mem::take(&mut rare.trailers))
    }

    pub(super) fn trailers_mut(&mut self) -> &mut Headers {
        &mut self.rare_mut().trailers
    }

    pub(super) fn encoder(&self) -> Option<&ContentEncoder> {
        self.rare.as_ref()?.encoder.as_deref()
    }

    pub(super) fn take_encoder(&mut self) -> Option<Box<ContentEncoder>> {
        self.rare.as_mut()?.encoder.take()
    }

    pub(super) fn set_encoder(&mut self, encoder: Box<ContentEncoder>) {
        self.rare_mut().encoder = Some(encoder);
    }

    pub(in crate::app) fn error(&self) -> Option<&Error> {
        self.rare.as_ref()?.error.as_ref()
    }

    /// Records the error that the response reports, and returns an earlier one.
    pub(super) fn replace_error(&mut self, error: Error) -> Option<Error> {
        self.rare_mut().error.replace(error)
    }

    fn rare_mut(&mut self) -> &mut RareParts {
        self.rare.get_or_insert_default()
    }
}

/// Parses a Content-Length, which is digits alone (RFC 9110 §8.6).
fn parse_length(value: &HeaderValue) -> Option<u64> {
    parse_digits(value.as_bytes())
}
