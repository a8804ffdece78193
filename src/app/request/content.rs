//! The content of a request as a stream, decompressed where the route says so.
//!
//! A context reads through [`next_piece`]. A [`ContentReader`] owns its end of the channel, so that an argument of a
//! handler can read while the handler uses its context.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Poll, Waker, ready};
use std::rc::Rc;

use bytes::Bytes;
use futures_core::Stream;

use super::body_state::Source;
use super::decompress::Decoder;
use crate::app::body_channel::{BodyError, Channel};
use crate::app::context::Context;
use crate::error::{Error, Result};
use crate::message::Body;

/// Reads the next piece of content from a channel; `None` at the end.
pub(super) async fn next_piece(
    channel: &Channel,
    bytes_max: u64,
    mut decoder: Option<&mut Decoder>,
) -> Result<Option<Bytes>> {
    poll_fn(|task| poll_piece(channel, bytes_max, decoder.as_deref_mut(), task.waker())).await
}

/// Polls [`next_piece`].
fn poll_piece(
    channel: &Channel,
    bytes_max: u64,
    mut decoder: Option<&mut Decoder>,
    waker: &Waker,
) -> Poll<Result<Option<Bytes>>> {
    loop {
        if let Some(decoder) = &mut decoder
            && let Some(piece) = decoder.next_piece()?
        {
            return Poll::Ready(Ok(Some(piece)));
        }
        let piece = ready!(channel.poll_piece(bytes_max, waker)).map_err(BodyError::into_error)?;
        let Some(decoder) = &mut decoder else {
            return Poll::Ready(Ok(piece));
        };
        match piece {
            Some(piece) => decoder.receive(piece),
            None => {
                decoder.finish()?;
                return Poll::Ready(Ok(None));
            }
        }
    }
}

/// The error of a second reader of content.
pub(super) fn taken() -> Error {
    Error::new("could not read the content: `Multipart` reads it; read the rest through its parts")
}

/// Reads the content of one request, beside its context.
#[derive(Debug)]
pub(super) struct ContentReader {
    channel: Rc<Channel>,
    /// The request whose content this is.
    request: u64,
    bytes_max: u64,
    decoder: Option<Box<Decoder>>,
    /// Content that was read whole before.
    read: Option<Bytes>,
}

impl ContentReader {
    /// Takes the content of a context, which reads no more of it.
    ///
    /// # Errors
    ///
    /// 500 if it was taken before.
    pub(super) fn take(cx: &mut Context) -> Result<Self> {
        let decoder = match core::mem::replace(&mut cx.body.source, Source::Taken) {
            Source::Channel => None,
            Source::Compressed(decoder) => Some(decoder),
            Source::Taken => return Err(taken()),
        };
        Ok(Self {
            channel: Rc::clone(&cx.channel),
            request: cx.channel.request(),
            bytes_max: cx.body.bytes_max,
            decoder,
            read: cx.body.whole.clone(),
        })
    }

    /// Reads the next piece; `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`Context::next_chunk`], or 500 once the request is over.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|task| self.poll_next_piece(task.waker())).await
    }

    fn poll_next_piece(&mut self, waker: &Waker) -> Poll<Result<Option<Bytes>>> {
        if self.request != self.channel.request() {
            return Poll::Ready(Err(Error::new(
                "could not read the content: its request is over; read it before the handler ends",
            )));
        }
        if let Some(read) = &mut self.read {
            let rest = core::mem::take(read);
            return Poll::Ready(Ok((!rest.is_empty()).then_some(rest)));
        }
        poll_piece(&self.channel, self.bytes_max, self.decoder.as_deref_mut(), waker)
    }
}

impl Stream for ContentReader {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut core::task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_piece(task.waker()).map(Result::transpose)
    }
}

impl Context {
    /// Takes the content as a body that is read as it arrives, to be passed on.
    ///
    /// Later reads of the content fail. The limit counts as in [`next_chunk`](Self::next_chunk): beyond it the stream fails.
    /// [`set_body_limit`](Self::set_body_limit) sets it. The client is read only as fast as the stream, which ends with
    /// the response.
    ///
    /// # Errors
    ///
    /// 500 if the content was taken before.
    pub fn take_body(&mut self) -> Result<Body> {
        let is_empty = self.content_length() == Some(0);
        let reader = ContentReader::take(self)?;
        Ok(if is_empty { Body::Empty } else { Body::stream(reader) })
    }
}
