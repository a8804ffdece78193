//! Automatic entity tags and 304 for pages that handlers write (RFC 9110 §8.8.3, §13): Tornado's `compute_etag`.
//!
//! The tag is made of the content, so the handler has always run. A client that has the page already saves the transfer
//! alone.

use core::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::cache_control::has_directive;
use super::conditional::{Precondition, Validators, evaluate_preconditions};
use crate::app::context::Context;
use crate::app::handler::middleware::Next;
use crate::app::yielding::{PIECE_BYTES, yield_now};
use crate::error::{HttpError, Result};
use crate::message::{HeaderValue, Method, StatusCode, header};

/// How many bytes of the digest are in the tag. 16: two contents with one tag cannot be found.
const TAG_BYTES: usize = 16;

/// Middleware that gives pages a strong `ETag` of their content, and answers 304 to a client that has the page.
///
/// It acts on GET and HEAD with the status 200 whose content was written as a whole. Streams and flushed content have no
/// tag, and neither has content with `Cache-Control: no-store`. A handler can set `ETag` or `Last-Modified` itself, also
/// for a stream; then these validators count.
///
/// `If-Match`, `If-None-Match`, `If-Modified-Since` and `If-Unmodified-Since` are evaluated as RFC 9110 §13.2.2 orders.
///
/// A tag costs about 0.6 µs for each KiB of content; see `benches/compression.rs`. Together with
/// [`Compression`](crate::app::Compression), add it after that, so that it sees the content before it is compressed.
///
/// ```
/// use squall::middleware::etag;
/// use squall::prelude::*;
///
/// let application = Application::new()
///     .middleware(etag)
///     .get("/", async |_: &mut Context| Html("<h1>Hello</h1>"));
/// ```
///
/// # Errors
///
/// 412 if `If-Match` or `If-Unmodified-Since` does not hold.
///
/// # Cancel safety
///
/// As [`Next::run`].
pub async fn etag(cx: &mut Context, next: Next<'_>) -> Result {
    next.run(cx).await;
    if !is_page(cx) {
        return Ok(());
    }
    if !cx.response.head.headers.contains(&header::ETAG)
        && is_taggable(cx)
        && let Some(tag) = tag_of(cx.response.content()).await
    {
        cx.response.head.headers.set(header::ETAG, tag);
    }
    let headers = &cx.response.head.headers;
    let last_modified = headers.get(&header::LAST_MODIFIED).and_then(|date| date.to_str().ok());
    let current = Validators {
        etag: headers.get(&header::ETAG).map(HeaderValue::as_bytes),
        last_modified: last_modified.and_then(|date| httpdate::parse_http_date(date).ok()),
    };
    if current == Validators::default() {
        return Ok(());
    }
    match evaluate_preconditions(cx.head.method(), cx.head.fields(), current) {
        Precondition::Met => Ok(()),
        Precondition::NotModified => {
            become_not_modified(cx);
            Ok(())
        }
        Precondition::Failed => Err(HttpError::new(StatusCode::PRECONDITION_FAILED).into()),
    }
}

/// Whether the response is a whole page that could still become another.
fn is_page(cx: &Context) -> bool {
    let response = &cx.response;
    matches!(*cx.head.method(), Method::GET | Method::HEAD)
        && response.head.status == StatusCode::OK
        && !response.head_sent
        && response.error().is_none()
}

/// Whether the content is there to make a tag of, and may be stored by a client.
fn is_taggable(cx: &Context) -> bool {
    let (response, headers) = (&cx.response, &cx.response.head.headers);
    // A handler of its own for HEAD may announce content that it does not write.
    let is_elsewhere = response.content().is_empty() && headers.contains(&header::CONTENT_LENGTH);
    let is_stored = !has_directive(headers, b"no-store");
    !response.has_stream() && is_stored && !(is_elsewhere && *cx.head.method() == Method::HEAD)
}

/// The strong tag of a content, which a SHA-256 digest makes.
async fn tag_of(content: &[u8]) -> Option<HeaderValue> {
    let mut digest = Sha256::new();
    for (index, piece) in content.chunks(PIECE_BYTES).enumerate() {
        if index > 0 {
            yield_now().await;
        }
        digest.update(piece);
    }
    let mut tag = String::with_capacity(2 * TAG_BYTES + 2);
    tag.push('"');
    for byte in digest.finalize().into_iter().take(TAG_BYTES) {
        write!(tag, "{byte:02x}").ok()?;
    }
    tag.push('"');
    HeaderValue::try_from(tag).ok()
}

/// Turns the response into a 304, which keeps the fields that guide caches (RFC 9110 §15.4.5).
fn become_not_modified(cx: &mut Context) {
    let response = &mut cx.response;
    let mut headers = core::mem::take(&mut response.head.headers);
    response.clear(&cx.shared);
    for describes_content in [
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
    ] {
        headers.remove(&describes_content);
    }
    response.head.headers = headers;
    response.head.status = StatusCode::NOT_MODIFIED;
}
