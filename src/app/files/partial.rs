//! Partial content (RFC 9110 §15.3.7): one range as it is, several as `multipart/byteranges` (§14.6).

use core::ops::Range;
use core::pin::Pin;
use core::task::{Context as Task, Poll};
use std::rc::Rc;

use bytes::Bytes;
use futures_core::Stream;

use super::source::{FileContent, FileReader, OpenFile};
use crate::error::{Error, Result};
use crate::memory;
use crate::message::{Body, BodyStream, BoxError, HeaderValue};

/// The content of a response, and how long it is.
pub(super) struct Partial {
    pub(super) body: Body,
    pub(super) bytes: u64,
}

/// One piece of a multipart content: a head, or bytes of the file.
enum Piece {
    Head(Bytes),
    File(Range<u64>),
}

/// The bytes of one range.
pub(super) fn range(file: &OpenFile, range: Range<u64>) -> Partial {
    let bytes = length(&range);
    let body = match &file.content {
        FileContent::Held(content) => Body::from(slice(content, &range)),
        FileContent::Large(reader) => Body::Stream(Rc::clone(reader).read(range)),
    };
    Partial { body, bytes }
}

/// The value of `Content-Range`.
pub(super) fn content_range(range: &Range<u64>, file: &OpenFile) -> Result<HeaderValue> {
    let (first, last, all) = (range.start, range.end.saturating_sub(1), file.bytes);
    HeaderValue::try_from(format!("bytes {first}-{last}/{all}")).map_err(Error::from)
}

/// Several ranges as `multipart/byteranges`; returns its `Content-Type` too.
///
/// # Errors
///
/// Memory is short.
pub(super) fn multipart(
    file: &OpenFile,
    ranges: &[Range<u64>],
    content_type: &HeaderValue,
) -> Result<(HeaderValue, Partial)> {
    // The tag depends on the content in a way that the content cannot foresee, so no content has this line.
    let boundary = format!("squall-{}", file.tag);
    let mut pieces = Vec::new();
    for (place, range) in ranges.iter().enumerate() {
        let mut head = Vec::new();
        head.extend_from_slice(if place == 0 { b"--" } else { b"\r\n--" });
        head.extend_from_slice(boundary.as_bytes());
        head.extend_from_slice(b"\r\nContent-Type: ");
        head.extend_from_slice(content_type.as_bytes());
        head.extend_from_slice(b"\r\nContent-Range: ");
        head.extend_from_slice(content_range(range, file)?.as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        pieces.push(Piece::Head(head.into()));
        pieces.push(Piece::File(range.clone()));
    }
    pieces.push(Piece::Head(format!("\r\n--{boundary}--\r\n").into()));
    let bytes = pieces.iter().map(Piece::bytes).sum();
    let body = match &file.content {
        FileContent::Held(content) => {
            let mut joined = Vec::new();
            for piece in &pieces {
                memory::append(
                    &mut joined,
                    &match piece {
                        Piece::Head(head) => head.clone(),
                        Piece::File(range) => slice(content, range),
                    },
                )?;
            }
            Body::from(joined)
        }
        FileContent::Large(reader) => Body::Stream(Box::pin(Multipart {
            reader: Rc::clone(reader),
            pieces: pieces.into_iter(),
            current: None,
        })),
    };
    let content_type = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"))?;
    Ok((content_type, Partial { body, bytes }))
}

impl Piece {
    fn bytes(&self) -> u64 {
        match self {
            Self::Head(head) => head.len() as u64,
            Self::File(range) => length(range),
        }
    }
}

/// The pieces of a multipart content, one after another.
struct Multipart {
    reader: Rc<dyn FileReader>,
    pieces: std::vec::IntoIter<Piece>,
    current: Option<BodyStream>,
}

impl Stream for Multipart {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(current) = &mut this.current {
                match current.as_mut().poll_next(task) {
                    Poll::Ready(None) => this.current = None,
                    polled => return polled,
                }
            }
            match this.pieces.next() {
                Some(Piece::Head(head)) => return Poll::Ready(Some(Ok(head))),
                Some(Piece::File(range)) => this.current = Some(Rc::clone(&this.reader).read(range)),
                None => return Poll::Ready(None),
            }
        }
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// Part of a content in memory, without a copy; the ranges come from the content's own length.
fn slice(content: &Bytes, range: &Range<u64>) -> Bytes {
    let place = |offset: u64| usize::try_from(offset).map_or(content.len(), |offset| offset.min(content.len()));
    let (start, end) = (place(range.start), place(range.end));
    content.slice(start.min(end)..end)
}
