//! From the parts of a head, however they were found, to a request: the application gets its head, the connection learns
//! what the request means for it (RFC 9112 §3, §6, §9).
//!
//! Invariant: every part lies in the bytes the draft was begun with, so that a place in them can stand for it.

use core::ops::Range;

use super::error::ParseError;
use super::framing::{ConnectionFields, Framing};
use super::grammar::{FieldLine, RequestLine};
use super::target::Target;
use crate::message::{Method, RequestHead, RequestHeadBuilder, Version};

/// What the connection needs to know of a request; the rest is the application's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) version: Version,
    pub(super) is_head: bool,
    pub(super) framing: Framing,
    pub(super) persists: bool,
    pub(super) expects_continue: bool,
    pub(super) offers_upgrade: bool,
}

/// A request as far as its head has been read.
pub(super) struct Draft<'b, 'h> {
    bytes: &'b [u8],
    head: RequestHeadBuilder<'h>,
    /// Of the request-target, where it names one.
    authority: Option<&'b [u8]>,
    fields: ConnectionFields<'b>,
}

impl<'b, 'h> Draft<'b, 'h> {
    /// Begins with the request-line of the head that `bytes` are.
    #[inline]
    pub(super) fn begin(bytes: &'b [u8], line: RequestLine<'b>, head: &'h mut RequestHead) -> Result<Self, ParseError> {
        if line.method.len() > METHOD_BYTES_MAX {
            return Err(ParseError::MethodTooLong);
        }
        let method = Method::from_bytes(line.method).map_err(|_| ParseError::Method)?;
        let target = Target::parse(&method, line.target.as_bytes())?;
        let mut head = head.rewrite();
        head.bytes(bytes)
            .method(method)
            .version(line.version)
            .target(target.form, line.target)
            .path(target.path, target.query);
        Ok(Self {
            bytes,
            head,
            authority: target.authority.and_then(|place| line.target.as_bytes().get(place)),
            fields: ConnectionFields::default(),
        })
    }

    /// Adds a field line.
    #[inline]
    pub(super) fn field(&mut self, line: FieldLine<'b>) -> Result<(), ParseError> {
        self.fields.observe(line)?;
        self.head
            .field(place(self.bytes, line.name), place(self.bytes, line.value));
        Ok(())
    }

    /// Ends the head, and decides what the request means for the connection.
    #[inline]
    pub(super) fn end(mut self) -> Result<Request, ParseError> {
        let Self { fields, head, .. } = &self;
        let (method, version) = (head.so_far().method(), head.so_far().version());
        let host = fields.host(version, self.authority)?;
        let request = Request {
            version,
            is_head: *method == Method::HEAD,
            framing: fields.framing(version)?,
            persists: fields.persists(version, method),
            expects_continue: fields.expects_continue(version)?,
            offers_upgrade: fields.offers_upgrade(version),
        };
        if let Some(authority) = self.authority.or(host) {
            self.head.authority(place(self.bytes, authority));
        }
        Ok(request)
    }
}

/// Where `part`, a slice of `whole`, begins in it.
pub(super) fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}

fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = offset_in(whole, part);
    start..start.wrapping_add(part.len())
}

/// The longest registered method, UPDATEREDIRECTREF, has 17 bytes. Beyond 15 the `http` crate allocates.
pub(super) const METHOD_BYTES_MAX: usize = 32;
