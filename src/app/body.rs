//! A request's content, as a handler reads it: whole, or piece by piece; as JSON or as a form.
//!
//! However it is read, it is limited (RFC 9110 §15.5.14): a request whose `Content-Length` is over the limit is answered 413 before a byte of
//! it is asked for, a chunked one when the chunks so far, and the size of the next, pass the limit.

use core::future::poll_fn;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::channel::BodyLength;
use super::context::Context;
use super::json;
use super::percent::decode_form;
use super::request::bad_request;
use crate::error::{Error, HttpError, Result};
use crate::message::Headers;

/// What of a request's content belongs to its context.
#[derive(Debug)]
pub(super) struct RequestBody {
    bytes_max: u64,
    /// The content, once it has been read whole.
    whole: Option<Bytes>,
}

impl RequestBody {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, whole: None }
    }

    pub(super) fn reset(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
        self.whole = None;
    }
}

impl Context {
    /// Sets how many bytes of content this request may carry, instead of the application's `body_bytes_max`
    /// (Tornado's `set_max_body_size`). It counts for what is read from now on.
    pub fn set_body_limit(&mut self, bytes_max: u64) {
        self.body.bytes_max = bytes_max;
    }

    /// The length of the content, where the request announces it: 0 where it has none, `None` where it is chunked.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        match self.channel.body_length() {
            BodyLength::Empty => Some(0),
            BodyLength::Known(length) => Some(length),
            BodyLength::Unknown => None,
        }
    }

    /// Reads the whole content. A second call gives the same bytes; pieces read before are not in them.
    ///
    /// # Errors
    ///
    /// 413 if it is over the limit, 400 if its framing is broken, 408 if it comes too slowly, 503 if there is no memory for it; an
    /// error nobody reads if the peer has gone.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what has come stays for the next call.
    pub async fn body(&mut self) -> Result<Bytes> {
        if let Some(whole) = &self.body.whole {
            return Ok(whole.clone());
        }
        let (channel, bytes_max) = (&self.channel, self.body.bytes_max);
        let whole = poll_fn(|task| channel.poll_whole(bytes_max, task.waker())).await;
        let whole = whole.map_err(super::BodyError::into_error)?;
        self.body.whole = Some(whole.clone());
        Ok(whole)
    }

    /// Reads the next piece of the content, as large as it came; `None` at the end. A handler that does not ask stops the peer:
    /// at most 64 KiB are read ahead.
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
        piece.map_err(super::BodyError::into_error)
    }

    /// The trailer fields (RFC 9110 §6.5), which are complete when all content has been read. They are never merged into the
    /// head's fields.
    #[must_use]
    pub fn trailers(&self) -> Headers {
        self.channel.trailers()
    }

    /// Reads the content as JSON. The type must be `application/json` or end in `+json`: a page of another origin can send any
    /// other type without asking first, so taking it would let that page act in a visitor's name.
    ///
    /// # Errors
    ///
    /// 415 for another type, 400 with the line and column for bad JSON, 400 if it is deeper than
    /// [`json_depth_max`](super::Limits::json_depth_max); otherwise as [`body`](Self::body).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        if !self.media_type().is_some_and(is_json) {
            return Err(unsupported("application/json"));
        }
        let body = self.body().await?;
        json::decode(&body, self.app.limits().json_depth_max)
    }

    /// Reads the content as a form. The type must be `application/x-www-form-urlencoded`. Repeated keys fill a `Vec`. What of it is read is as
    /// [`query_as`](Self::query_as) says.
    ///
    /// # Errors
    ///
    /// 415 for another type, 400 if a parameter that is read is badly encoded, the form has more parameters than the limit or does not fit `T`;
    /// otherwise as [`body`](Self::body).
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
        decode_form(&body, self.app.limits().parameter_count_max)
            .map_err(|error| bad_request(format!("the form is not as expected: {error}")))
    }

    /// The content's type without its parameters, which may hold any bytes: a file name in Latin-1 hides no type.
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
