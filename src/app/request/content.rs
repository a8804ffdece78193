//! The content of a request as a stream, decompressed where the route says so.
//!
//! A context reads through [`next_piece`]. A [`ContentReader`] owns its end of the channel, so that an argument of a
//! handler can read while the handler uses its context.

use core::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;

use super::body_state::Source;
use super::decompress::Decoder;
use crate::app::body_channel::{BodyError, Channel};
use crate::app::context::Context;
use crate::error::{Error, Result};

/// Reads the next piece of content from a channel; `None` at the end.
pub(super) async fn next_piece(
    channel: &Channel,
    bytes_max: u64,
    mut decoder: Option<&mut Decoder>,
) -> Result<Option<Bytes>> {
    loop {
        if let Some(decoder) = &mut decoder
            && let Some(piece) = decoder.next_piece()?
        {
            return Ok(Some(piece));
        }
        let piece = poll_fn(|task| channel.poll_piece(bytes_max, task.waker())).await;
        let piece = piece.map_err(BodyError::into_error)?;
        let Some(decoder) = &mut decoder else { return Ok(piece) };
        match piece {
            Some(piece) => decoder.receive(piece),
            None => {
                decoder.finish()?;
                return Ok(None);
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
        if self.request != self.channel.request() {
            return Err(Error::new(
                "could not read the content: its request is over; read it before the handler ends",
            ));
        }
        if let Some(read) = &mut self.read {
            let rest = core::mem::take(read);
            return Ok((!rest.is_empty()).then_some(rest));
        }
        next_piece(&self.channel, self.bytes_max, self.decoder.as_deref_mut()).await
    }
}
