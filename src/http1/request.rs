//! The builder that turns the parts of a head into a request (RFC 9112 §3, §6, §9). The application gets the head, and
//! the connection the [`Exchange`].
//!
//! Invariant: every part is a slice of the bytes the builder was created with, so that an offset can represent it.

use core::ops::Range;

use super::error::ParseError;
use super::framing::{ConnectionFields, Framing};
use super::grammar::RequestLine;
use super::target::Target;
use super::version::MinorVersion;
use crate::message::{Method, RequestHead, RequestHeadBuilder};

/// What the connection retains of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exchange {
    /// `None` if no head could be read.
    pub(super) version: Option<MinorVersion>,
    pub(super) is_head: bool,
    pub(super) persists: bool,
    pub(super) offers_upgrade: bool,
    /// The peer waits for `100 Continue`, which has not been sent.
    pub(super) awaits_continue: bool,
    /// Content has arrived, so the peer no longer waits for `100 Continue`.
    pub(super) has_content: bool,
}

impl Exchange {
    /// The state before a request.
    pub(super) const NONE: Self = Self {
        version: None,
        is_head: false,
        persists: true,
        offers_upgrade: false,
        awaits_continue: false,
        has_content: false,
    };
}

/// A request under construction.
pub(super) struct RequestBuilder<'b, 'h> {
    bytes: &'b [u8],
    head: RequestHeadBuilder<'h>,
    /// The authority of the request-target, if it has one.
    authority: Option<&'b [u8]>,
    version: MinorVersion,
    fields: ConnectionFields<'b>,
}

impl<'b, 'h> RequestBuilder<'b, 'h> {
    /// Begins a request with all bytes of its head.
    pub(super) fn new(bytes: &'b [u8], head: &'h mut RequestHead) -> Self {
        let mut head = head.rewrite();
        head.bytes(bytes);
        Self {
            bytes,
            head,
            authority: None,
            version: MinorVersion::default(),
            fields: ConnectionFields::default(),
        }
    }

    /// Adds the request-line.
    pub(super) fn request_line(&mut self, line: RequestLine<'b>) -> Result<(), ParseError> {
        if line.method.len() > METHOD_BYTES_MAX {
            return Err(ParseError::MethodTooLong);
        }
        let method = match line.method {
            // Most requests; the comparison costs less than the call.
            b"GET" => Method::GET,
            method => Method::from_bytes(method).map_err(|_| ParseError::Method)?,
        };
        let target = Target::parse(&method, line.target.as_bytes())?;
        self.authority = target.authority.and_then(|place| line.target.as_bytes().get(place));
        self.version = line.version;
        self.head
            .method(method)
            .version(line.version.into())
            .target(target.form, line.target)
            .path(target.path, target.query);
        Ok(())
    }

    /// Adds a field line.
    pub(super) fn field(&mut self, name: &'b [u8], value: &'b [u8]) -> Result<(), ParseError> {
        self.fields.observe(name, value)?;
        self.head.field(place(self.bytes, name), place(self.bytes, value));
        Ok(())
    }

    /// Ends the head and decides what the request means for the connection.
    ///
    /// The result is written in place: returning so large a value through two results costs more than all these
    /// decisions.
    pub(super) fn end(mut self, exchange: &mut Exchange) -> Result<Framing, ParseError> {
        let Self { fields, head, .. } = &self;
        let (method, version) = (head.so_far().method(), self.version);
        // Nearly all requests name the same host, which then needs no second check.
        let is_known = fields.names_host(head.last_authority());
        let host = fields.host(version, is_known)?;
        let framing = fields.framing(version)?;
        *exchange = Exchange {
            version: Some(version),
            is_head: *method == Method::HEAD,
            persists: fields.persists(version, method),
            offers_upgrade: fields.offers_upgrade(version),
            awaits_continue: fields.expects_continue(version)?,
            has_content: false,
        };
        if is_known && self.authority.is_none() {
            self.head.keep_authority();
        } else if let Some(authority) = self.authority.or(host) {
            self.head.authority(place(self.bytes, authority));
        }
        Ok(framing)
    }
}

/// Returns the offset of `part`, a slice of `whole`.
pub(super) fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}

fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = offset_in(whole, part);
    start..start.wrapping_add(part.len())
}

/// Longest method in bytes. The longest registered one, UPDATEREDIRECTREF, has 17; beyond 15 the `http` crate
/// allocates.
pub(super) const METHOD_BYTES_MAX: usize = 32;
