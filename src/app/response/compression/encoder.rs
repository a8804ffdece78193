//! The content encoder of one response: decides whether to compress, and holds the content that is being compressed.

use std::rc::Rc;

use super::compressor::{Boundary, Kind, is_available};
use super::encoding::Encoding;
use super::media_types::is_compressible;
use super::pool::{CompressorPool, Lease};
use super::settings::Compression;
use crate::app::response::accept_encoding::{AcceptedCodings, ContentCoding};
use crate::app::response::cache_control::has_directive;
use crate::app::response::vary;
use crate::error::Result;
use crate::message::{HeaderValue, Headers, ResponseHead, StatusCode, has_no_content, header, parse_digits};

/// The order in which codings are preferred that the client likes equally: by the time that they take for their size.
const PREFERRED: [ContentCoding; 3] = [ContentCoding::Zstd, ContentCoding::Brotli, ContentCoding::Gzip];

/// Encodes the content of one response.
pub(in crate::app) struct ContentEncoder {
    settings: Compression,
    /// The coding that the client prefers; `None` for content as it is.
    coding: Option<ContentCoding>,
    pool: Rc<CompressorPool>,
    compressor_bytes_max: usize,
    pub(super) state: State,
}

pub(super) enum State {
    /// Nothing has been flushed.
    Undecided,
    /// The content is sent as it is.
    Identity,
    Encoding(Box<Encoding>),
}

impl ContentEncoder {
    pub(super) fn new(
        settings: &Compression,
        accepted: AcceptedCodings,
        pool: &Rc<CompressorPool>,
        compressor_bytes_max: usize,
    ) -> Self {
        Self {
            settings: settings.clone(),
            coding: accepted.preferred(PREFERRED.into_iter().filter(|coding| is_available(*coding))),
            pool: Rc::clone(pool),
            compressor_bytes_max,
            state: State::Undecided,
        }
    }

    /// Forgets the content, because another response replaces it.
    pub(in crate::app) fn restart(&mut self) {
        self.state = State::Undecided;
    }

    /// Whether compressed content waits for a flush.
    pub(in crate::app) fn has_output(&self) -> bool {
        matches!(&self.state, State::Encoding(encoding) if encoding.output_bytes() > 0)
    }

    /// Takes the bytes of a flush: the output, or the content as it is.
    pub(in crate::app) fn take_flush(&mut self, written: &mut Vec<u8>) -> Vec<u8> {
        match &mut self.state {
            State::Encoding(encoding) => encoding.take_output(),
            State::Undecided | State::Identity => core::mem::take(written),
        }
    }

    /// Chooses the coding for content of unknown length, before its head is sent.
    pub(super) fn decide(&mut self, head: &mut ResponseHead) {
        if !matches!(self.state, State::Undecided) {
            return;
        }
        self.note_choice(head);
        let announced = head.headers.get(&header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| parse_digits(length.as_bytes()));
        let is_small = announced.is_some_and(|length| self.is_small(length));
        let coding = self.choose(head).filter(|_| !is_small);
        let lease = coding.and_then(|coding| self.lend(coding, None));
        self.state = match (coding, lease) {
            (Some(coding), Some(lease)) => {
                describe(head, coding);
                State::Encoding(Box::new(Encoding::new(lease, announced)))
            }
            _ => State::Identity,
        };
    }

    /// Notes in the head that `Accept-Encoding` has a say in the response.
    pub(super) fn note_choice(&self, head: &mut ResponseHead) {
        if head.status.is_informational() {
            return;
        }
        vary::add(&mut head.headers, "Accept-Encoding");
        // The tag of a 304 is that of the response it stands for, which would be compressed.
        if head.status == StatusCode::NOT_MODIFIED && self.coding.is_some() {
            weaken_etag(&mut head.headers);
        }
    }

    /// The coding for a response with this head; `None` for content as it is.
    fn choose(&self, head: &ResponseHead) -> Option<ContentCoding> {
        let headers = &head.headers;
        let is_excluded = has_no_content(head.status)
            || head.status == StatusCode::PARTIAL_CONTENT
            || headers.contains(&header::CONTENT_ENCODING)
            || headers.contains(&header::CONTENT_RANGE)
            || has_directive(headers, b"no-transform");
        let media_type = match headers.get(&header::CONTENT_TYPE) {
            Some(value) => value.as_bytes(),
            None => head
                .content_type
                .map_or("", |media_type| media_type.as_str())
                .as_bytes(),
        };
        self.coding.filter(|_| !is_excluded && is_compressible(media_type))
    }

    fn is_small(&self, length: u64) -> bool {
        length < self.settings.min_bytes as u64
    }

    fn lend(&self, coding: ContentCoding, length: Option<usize>) -> Option<Lease> {
        let level = self.settings.level(coding);
        let lease = self
            .pool
            .lend(Kind { coding, level }, length, self.compressor_bytes_max);
        if lease.is_none() {
            tracing::debug!(
                coding = coding.name(),
                "sent a response uncompressed: no memory for a compressor"
            );
        }
        lease
    }

    /// Compresses whole content; `None` if it is sent as it is.
    pub(super) async fn encode_whole(
        &self,
        head: &ResponseHead,
        content: &[u8],
    ) -> Result<Option<(ContentCoding, Vec<u8>)>> {
        let Some(coding) = self.choose(head).filter(|_| !self.is_small(content.len() as u64)) else {
            return Ok(None);
        };
        let Some(lease) = self.lend(coding, Some(content.len())) else {
            return Ok(None);
        };
        let mut encoding = Encoding::new(lease, None);
        encoding.encode(content, Boundary::End).await?;
        let output = encoding.finish()?;
        Ok((output.len() < content.len()).then_some((coding, output)))
    }
}

/// Describes compressed content in its head.
pub(super) fn describe(head: &mut ResponseHead, coding: ContentCoding) {
    let headers = &mut head.headers;
    headers.set(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    // The length and ranges of the content as it was.
    headers.remove(&header::CONTENT_LENGTH);
    headers.remove(&header::ACCEPT_RANGES);
    weaken_etag(headers);
}

/// Makes a strong tag weak: compressed and plain content are equal in meaning and not in bytes (RFC 9110 §8.8.1).
fn weaken_etag(headers: &mut Headers) {
    if let Some(tag) = headers.get(&header::ETAG)
        && tag.as_bytes().starts_with(b"\"")
    {
        let weak = [b"W/", tag.as_bytes()].concat();
        if let Ok(weak) = HeaderValue::from_bytes(&weak) {
            headers.set(header::ETAG, weak);
        }
    }
}
