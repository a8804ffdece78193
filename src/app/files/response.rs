//! The response with a selected file: validators, conditions, ranges, and the content.

use std::rc::Rc;
use std::time::SystemTime;

use super::content_type::content_type;
use super::partial::{self, Partial};
use super::ranges::RequestedRanges;
use super::source::OpenFile;
use crate::app::context::Context;
use crate::app::response::accept_encoding::ContentCoding;
use crate::app::response::conditional::{Precondition, Validators, allows_range, evaluate_preconditions};
use crate::app::response::vary;
use crate::error::{HttpError, Result};
use crate::message::{HeaderValue, HttpDate, Method, StatusCode, header};

/// How a URL with the current version may be stored: a year, which caches treat as for ever.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// How any other URL may be stored: each use asks whether the file has changed.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// A file, as one request gets it.
pub(super) struct Choice {
    pub(super) file: Rc<OpenFile>,
    /// The coding of a precompressed file.
    pub(super) coding: Option<ContentCoding>,
    /// Whether another client could get another coding.
    pub(super) varies: bool,
}

/// How caches may store the response.
pub(super) enum CachePolicy {
    Immutable,
    Revalidate,
    Chosen(HeaderValue),
}

impl CachePolicy {
    fn into_value(self) -> HeaderValue {
        match self {
            Self::Immutable => IMMUTABLE,
            Self::Revalidate => REVALIDATE,
            Self::Chosen(value) => value,
        }
    }
}

impl Choice {
    /// Writes the response: 200, 206 or 304.
    ///
    /// # Errors
    ///
    /// 412 and 416 as the request asks; 503 if memory is short.
    pub(super) fn respond(self, cx: &mut Context, name: &[u8], cache: CachePolicy) -> Result {
        let file = &*self.file;
        let etag = self.etag()?;
        // A file from the future would make clients ask for changes since then (RFC 9110 §8.8.2.1).
        let now = cx.shared.file_source().map(|source| source.now());
        let modified = file
            .modified
            .map(|modified| now.map_or(modified, |now| modified.min(now)));
        let current = Validators {
            etag: Some(etag.as_bytes()),
            last_modified: modified,
        };
        let condition = evaluate_preconditions(cx.method(), cx.headers(), current);
        if condition == Precondition::Failed {
            return Err(HttpError::new(StatusCode::PRECONDITION_FAILED).into());
        }
        let may_be_partial = allows_range(cx.headers(), current);
        let ranges = requested_ranges(cx, file.bytes, may_be_partial);
        if condition == Precondition::Met && ranges == RequestedRanges::Unsatisfiable {
            let all = HeaderValue::try_from(format!("bytes */{}", file.bytes))?;
            let error = HttpError::new(StatusCode::RANGE_NOT_SATISFIABLE);
            return Err(error.with_header(header::CONTENT_RANGE, all).into());
        }
        self.set_validators(cx, etag, modified)?;
        cx.response.head.headers.set(header::CACHE_CONTROL, cache.into_value());
        if condition == Precondition::NotModified {
            cx.set_status(StatusCode::NOT_MODIFIED);
            return Ok(());
        }
        let headers = &mut cx.response.head.headers;
        if let Some(coding) = self.coding {
            headers.set(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        let own_type = content_type(name);
        let (content_type, content) = match ranges {
            RequestedRanges::Parts(parts) => {
                cx.response.head.status = StatusCode::PARTIAL_CONTENT;
                match parts.as_slice() {
                    [range] => {
                        headers.set(header::CONTENT_RANGE, partial::content_range(range, file)?);
                        (own_type, partial::range(file, range.clone()))
                    }
                    ranges => partial::multipart(file, ranges, &own_type)?,
                }
            }
            RequestedRanges::Whole | RequestedRanges::Unsatisfiable => (own_type, partial::range(file, 0..file.bytes)),
        };
        headers.set(header::CONTENT_TYPE, content_type);
        write_content(cx, content);
        Ok(())
    }

    /// The entity tag. The same content in two codings has two.
    fn etag(&self) -> Result<HeaderValue> {
        let tag = self.file.tag;
        let etag = match self.coding {
            None => format!("\"{tag}\""),
            Some(coding) => format!("\"{tag}-{}\"", coding.name()),
        };
        Ok(HeaderValue::try_from(etag)?)
    }

    /// Sets the fields that a 304 has as well (RFC 9110 §15.4.5).
    fn set_validators(&self, cx: &mut Context, etag: HeaderValue, modified: Option<SystemTime>) -> Result {
        let headers = &mut cx.response.head.headers;
        headers.set(header::ETAG, etag);
        if let Some(modified) = modified {
            let date = HeaderValue::from_str(HttpDate::from(modified).as_str())?;
            headers.set(header::LAST_MODIFIED, date);
        }
        headers.set(header::ACCEPT_RANGES, BYTES);
        if self.varies {
            vary::add(headers, "Accept-Encoding");
        }
        Ok(())
    }
}

/// The ranges of a request; `Range` in several lines is malformed.
fn requested_ranges(cx: &Context, bytes: u64, may_be_partial: bool) -> RequestedRanges {
    let mut lines = cx.headers().get_all("range");
    match (lines.next(), lines.next()) {
        (Some(field), None) if may_be_partial => RequestedRanges::read(field, bytes),
        _ => RequestedRanges::Whole,
    }
}

/// Writes the content, or only its length for HEAD.
fn write_content(cx: &mut Context, content: Partial) {
    let is_stream = matches!(content.body, crate::message::Body::Stream(_));
    if is_stream || *cx.method() == Method::HEAD {
        let length = HeaderValue::from(content.bytes);
        cx.response.head.headers.set(header::CONTENT_LENGTH, length);
    }
    if *cx.method() != Method::HEAD {
        cx.write_body(content.body);
    }
}
