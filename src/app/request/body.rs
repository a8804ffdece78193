//! Reading a request's content: whole, in pieces, as JSON or as a form.
//!
//! Every way is limited (RFC 9110 §15.5.14). A `Content-Length` over the limit is answered with 413 before any
//! content is read. A chunked request gets 413 as soon as its chunks, including the announced size of the next one,
//! pass the limit.

use core::future::poll_fn;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::json;
use super::percent::decode_form;
use crate::app::body_channel::BodyLength;
use crate::app::context::Context;
use crate::error::{Error, HttpError, Result, bad_request};
use crate::message::Headers;

impl Context {
    /// Sets how many bytes of content this request may carry (Tornado's `set_max_body_size`).
    ///
    /// It replaces the application's [`max_body_bytes`](crate::app::Limits::max_body_bytes) for all later reads.
    pub fn set_body_limit(&mut self, bytes_max: u64) {
        self.body.bytes_max = bytes_max;
    }

    /// Returns the announced length in bytes: 0 without content, `None` for chunked content.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        match self.channel.body_length() {
            BodyLength::Empty => Some(0),
            BodyLength::Known(length) => Some(length),
            BodyLength::Unknown => None,
        }
    }

    /// Reads the whole content.
    ///
    /// A second call returns the same bytes. Pieces that [`next_chunk`](Self::next_chunk) has returned are not part
    /// of it.
    ///
    /// # Errors
    ///
    /// 413 over the limit, 400 for broken framing, 408 if the peer sends too slowly, 503 if memory is short;
    /// [`is_peer_gone`](Error::is_peer_gone) if the peer is gone.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: received bytes stay for the next call.
    pub async fn body(&mut self) -> Result<Bytes> {
        if let Some(whole) = &self.body.whole {
            return Ok(whole.clone());
        }
        let (channel, bytes_max) = (&self.channel, self.body.bytes_max);
        let whole = poll_fn(|task| channel.poll_whole(bytes_max, task.waker())).await;
        let whole = whole.map_err(crate::app::BodyError::into_error)?;
        self.body.whole = Some(whole.clone());
        Ok(whole)
    }

    /// Reads the next piece of the content, as large as it arrived; `None` at the end.
    ///
    /// At most 64 KiB are read ahead. A handler that reads no further stops the peer.
    ///
    /// # Errors
    ///
    /// As [`body`](Self::body). The limit counts all pieces; [`set_body_limit`](Self::set_body_limit) raises it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        let (channel, bytes_max) = (&self.channel, self.body.bytes_max);
        let piece = poll_fn(|task| channel.poll_piece(bytes_max, task.waker())).await;
        piece.map_err(crate::app::BodyError::into_error)
    }

    /// Returns the trailer fields (RFC 9110 §6.5), which are complete once all content has been read.
    ///
    /// They are never merged into the fields of the head.
    #[must_use]
    pub fn trailers(&self) -> Headers {
        self.channel.trailers()
    }

    /// Reads the content as JSON; its type must be `application/json` or end in `+json`.
    ///
    /// Browsers let a page of another origin send most other types without a preflight request. To accept them would
    /// let that page act as the visitor.
    ///
    /// # Errors
    ///
    /// 415 for another type; 400 with line and column for invalid JSON; 400 for JSON nested deeper than 128 levels; 422,
    /// naming the field, for JSON that does not fit `T`; otherwise as [`body`](Self::body).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        if !self.media_type().is_some_and(is_json) {
            return Err(unsupported("application/json"));
        }
        let body = self.body().await?;
        json::decode(&body)
    }

    /// Reads the content as a form; its type must be `application/x-www-form-urlencoded`.
    ///
    /// Repeated keys fill a `Vec`. `T` reads the same parameters as in [`query_as`](Self::query_as).
    ///
    /// # Errors
    ///
    /// 415 for another type; 400, naming the field, if a parameter that `T` reads is badly encoded or does not fit
    /// `T`; 400 if the form has too many parameters; otherwise as [`body`](Self::body).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn form<T: DeserializeOwned>(&mut self) -> Result<T> {
        const FORM: &str = "application/x-www-form-urlencoded";
        if !self
            .media_type()
            .is_some_and(|media_type| media_type.eq_ignore_ascii_case(FORM))
        {
            return Err(unsupported(FORM));
        }
        let body = self.body().await?;
        decode_form(&body, self.shared.limits().max_parameters)
            .map_err(|error| bad_request(format!("could not decode the form: {error}")))
    }

    /// The type without its parameters, which may hold any bytes, such as a file name in Latin-1.
    fn media_type(&self) -> Option<&str> {
        let media_type = self.headers().get("content-type")?.split(|&byte| byte == b';').next()?;
        str::from_utf8(media_type).ok().map(str::trim_ascii)
    }
}

fn is_json(media_type: &str) -> bool {
    let ending = |length: usize| {
        media_type
            .len()
            .checked_sub(length)
            .and_then(|start| media_type.get(start..))
    };
    media_type.eq_ignore_ascii_case("application/json")
        || ending(5).is_some_and(|ending| ending.eq_ignore_ascii_case("+json"))
}

fn unsupported(expected: &'static str) -> Error {
    HttpError::new(415)
        .with_message(format!("the content must be {expected}"))
        .into()
}
