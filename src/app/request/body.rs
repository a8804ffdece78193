//! Reading a request's content: whole, in pieces, as JSON or as a form.
//!
//! A route may have content decompressed; JSON and forms in any other coding are answered with 415.
//!
//! Every way is limited (RFC 9110 §15.5.14). A `Content-Length` over the limit is answered with 413 before any
//! content is read. A chunked request gets 413 as soon as its chunks, including the announced size of the next one,
//! pass the limit.

use core::future::poll_fn;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::body_state::{ContentRules, Source};
use super::content::{next_piece, taken};
use super::decompress::refuse_codings;
use super::form_fields;
use super::json;
use super::multipart::{Boundary, MultipartError};
use super::percent::{decode_form, has_longer_value};
use crate::app::body_channel::{BodyError, BodyLength};
use crate::app::context::Context;
use crate::error::{Error, HttpError, Result, bad_request};
use crate::memory;
use crate::message::Headers;

/// The media type of a form without files.
const URL_ENCODED: &str = "application/x-www-form-urlencoded";

/// The media type of a form that may have files.
const MULTIPART: &str = "multipart/form-data";

impl Context {
    /// Sets how many bytes of content this request may carry (Tornado's `set_max_body_size`).
    ///
    /// It replaces the application's [`max_body_bytes`](crate::Application::max_body_bytes), and the route's, for all
    /// later reads. Compressed content counts as received. A [`Multipart`](crate::Multipart) keeps the limit that it began
    /// with, so middleware sets another.
    pub fn set_body_limit(&mut self, bytes_max: u64) {
        self.body.bytes_max = bytes_max;
    }

    /// How many bytes of content this request may carry.
    pub(in crate::app) fn body_limit(&self) -> u64 {
        self.body.bytes_max
    }

    /// Returns the announced length in bytes, as received: 0 without content, `None` for chunked content.
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
    /// 413 over the limit, 400 for broken framing, 408 if the peer sends too slowly, 503 if memory is short.
    /// [`is_peer_gone`](Error::is_peer_gone) if the peer is gone.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: received bytes stay for the next call.
    pub async fn body(&mut self) -> Result<Bytes> {
        if let Some(whole) = &self.body.whole {
            return Ok(whole.clone());
        }
        let whole = match &self.body.source {
            Source::Channel => {
                let (channel, bytes_max) = (&self.channel, self.body.bytes_max);
                let whole = poll_fn(|task| channel.poll_whole(bytes_max, task.waker())).await;
                whole.map_err(BodyError::into_error)?
            }
            Source::Compressed(_) => self.decompressed().await?,
            Source::Taken => return Err(taken()),
        };
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
        let decoder = match &mut self.body.source {
            Source::Channel => None,
            Source::Compressed(decoder) => Some(&mut **decoder),
            Source::Taken => return Err(taken()),
        };
        next_piece(&self.channel, self.body.bytes_max, decoder).await
    }

    /// Reads the whole content and decompresses it. What has come stays in the context if the future is dropped.
    async fn decompressed(&mut self) -> Result<Bytes> {
        loop {
            let Some(piece) = self.next_chunk().await? else {
                return Ok(Bytes::from(core::mem::take(&mut self.body.decompressed)));
            };
            memory::append(&mut self.body.decompressed, &piece)?;
        }
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
    /// 415 for another type, and for a `Content-Encoding` that the route does not undo. 400 with line and column for
    /// invalid JSON; 400 for JSON nested deeper than 128 levels. 422, naming the field, for JSON that does not fit `T`.
    /// Otherwise as [`body`](Self::body).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        if !self.media_type().is_some_and(is_json) {
            return Err(unsupported("application/json"));
        }
        self.check_coding()?;
        let body = self.body().await?;
        json::decode(&body)
    }

    /// Reads the content as a form: `application/x-www-form-urlencoded`, or the fields of `multipart/form-data`.
    ///
    /// Repeated keys fill a `Vec`. `T` reads the same parameters as in [`query_as`](Self::query_as). Files are ignored,
    /// though the whole content is read into memory; a handler reads large ones through
    /// [`Multipart`](crate::Multipart) or [`MultipartForm`](crate::MultipartForm).
    ///
    /// # Errors
    ///
    /// 415 for another type, and for a `Content-Encoding` that the route does not undo. 400, naming the field, if a
    /// parameter that `T` reads is badly encoded or does not fit `T`. 400 if the form has more than
    /// [`max_parameters`](crate::Application::max_parameters) parameters; 413 if it has more than
    /// [`max_parts`](crate::Application::max_parts) parts, or a value of more than
    /// [`max_field_bytes`](crate::Application::max_field_bytes). Otherwise as [`body`](Self::body).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn form<T: DeserializeOwned>(&mut self) -> Result<T> {
        let form = self.encoded_form().await?;
        let form = form.ok_or_else(|| unsupported("application/x-www-form-urlencoded or multipart/form-data"))?;
        let decoded = decode_form(&form.pairs, form.count_max)
            .map_err(|error| bad_request(format!("could not decode the form: {error}")))?;
        form.check_lengths(self.shared.limits().max_field_bytes)?;
        Ok(decoded)
    }

    /// Reads the content as the pairs of a form; `None` if it has another type, or none.
    ///
    /// # Errors
    ///
    /// As [`form`](Self::form), but for the decoding of the pairs.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn encoded_form(&mut self) -> Result<Option<EncodedForm>> {
        let media_type = self.media_type();
        let is = |known: &str| media_type.is_some_and(|found| found.eq_ignore_ascii_case(known));
        let boundary = if is(URL_ENCODED) {
            None
        } else if is(MULTIPART) {
            Some(self.boundary()?)
        } else {
            return Ok(None);
        };
        self.check_coding()?;
        let body = self.body().await?;
        let limits = self.shared.limits();
        // The fields of a multipart form are counted as parts.
        let (pairs, count_max) = match boundary {
            None => (body, limits.max_parameters),
            Some(boundary) => (form_fields::url_encoded(&boundary, limits, body)?, usize::MAX),
        };
        Ok(Some(EncodedForm { pairs, count_max }))
    }

    /// Applies what the route says about content, before any of it is read.
    ///
    /// # Errors
    ///
    /// 413 if more content is announced than the route takes; 415 if the route decompresses content and cannot undo the
    /// coding of this one.
    #[cold]
    pub(in crate::app) fn apply_content_rules(&mut self, rules: &ContentRules) -> Result {
        self.body.apply(rules, self.head.fields(), &self.shared.limits())?;
        match self.content_length() {
            Some(length) if length > self.body.bytes_max => Err(BodyError::TooLarge.into_error()),
            _ => Ok(()),
        }
    }

    /// Reads the boundary of a multipart form.
    ///
    /// # Errors
    ///
    /// 415 for another type of content; 400 without a valid boundary.
    pub(super) fn boundary(&self) -> Result<Boundary> {
        let content_type = self.headers().get("content-type").unwrap_or_default();
        Ok(Boundary::from_content_type(content_type)?)
    }

    /// Checks that the content can be read as it is, or that the route undoes its coding.
    ///
    /// # Errors
    ///
    /// 415 for any coding on a route without decompression.
    pub(super) fn check_coding(&self) -> Result {
        match self.body.source {
            Source::Channel | Source::Taken => refuse_codings(self.headers()),
            Source::Compressed(_) => Ok(()),
        }
    }

    /// The type without its parameters, which may hold any bytes, such as a file name in Latin-1.
    fn media_type(&self) -> Option<&str> {
        let media_type = self.headers().get("content-type")?.split(|&byte| byte == b';').next()?;
        str::from_utf8(media_type).ok().map(str::trim_ascii)
    }
}

/// The fields of a form as urlencoded pairs.
#[derive(Debug)]
pub(super) struct EncodedForm {
    pub(super) pairs: Bytes,
    /// Most pairs.
    pub(super) count_max: usize,
}

impl EncodedForm {
    /// Checks the lengths of the values, once the pairs have turned out to be well-formed.
    ///
    /// # Errors
    ///
    /// 413 if a value has more than `bytes_max` bytes.
    pub(super) fn check_lengths(&self, bytes_max: usize) -> Result {
        if has_longer_value(&self.pairs, bytes_max) {
            return Err(MultipartError::FieldTooLarge.into());
        }
        Ok(())
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
