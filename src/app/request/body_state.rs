//! What a context stores about the content of its request, and what a route says about content.

use bytes::Bytes;

use super::decompress::{Bounds, Coding, Decoder};
use crate::app::limits::Limits;
use crate::error::Result;
use crate::message::Fields;

/// The part of a request's content that its context stores.
#[derive(Debug)]
pub(in crate::app) struct RequestBody {
    pub(super) bytes_max: u64,
    pub(super) source: Source,
    /// The content, once it has been read whole.
    pub(super) whole: Option<Bytes>,
    /// Decompressed content that is not whole yet.
    pub(super) decompressed: Vec<u8>,
}

/// Where a read of content finds it.
#[derive(Debug)]
pub(super) enum Source {
    /// In the channel.
    Channel,
    /// In the channel, compressed.
    Compressed(Box<Decoder>),
    /// Elsewhere: a `Multipart` reads it.
    Taken,
}

/// What a route says about the content of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::app) struct ContentRules {
    /// Most bytes of content, in place of the application's limit.
    pub(in crate::app) bytes_max: Option<u64>,
    /// Whether compressed content is decompressed.
    pub(in crate::app) decompresses: bool,
    /// Most bytes of decompressed content, in place of the application's limit.
    pub(in crate::app) inflated_bytes_max: Option<u64>,
}

impl RequestBody {
    pub(in crate::app) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            source: Source::Channel,
            whole: None,
            decompressed: Vec::new(),
        }
    }

    pub(in crate::app) fn reset(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
        self.whole = None;
        if !matches!(self.source, Source::Channel) {
            self.source = Source::Channel;
            self.decompressed = Vec::new();
        }
    }

    /// Applies what the route says, and the application's limits where it says nothing.
    ///
    /// # Errors
    ///
    /// 415 if the route decompresses content and cannot undo the coding of this request.
    pub(super) fn apply(&mut self, rules: &ContentRules, fields: Fields<'_>, limits: &Limits) -> Result {
        if let Some(bytes_max) = rules.bytes_max {
            self.bytes_max = bytes_max;
        }
        if rules.decompresses
            && let Some(coding) = Coding::of(fields)?
        {
            let bounds = Bounds {
                bytes_max: rules.inflated_bytes_max.unwrap_or(limits.max_inflated_bytes),
                ratio_max: limits.max_inflation_ratio,
            };
            self.source = Source::Compressed(Box::new(Decoder::new(coding, bounds)));
        }
        Ok(())
    }
}
