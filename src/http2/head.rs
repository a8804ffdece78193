//! From a header block to the head of a request, or to trailers (RFC 9113 §8.2, §8.3).
//!
//! The decoder appends names and values to the buffer of the head, which keeps the fields as spans of it. So a field is
//! copied once.
//!
//! A block is always decoded to its end, whatever is wrong with its fields: otherwise the tables of both ends would
//! differ. What is not kept is cut off again.

use core::ops::Range;

use super::error::{ConnectionError, ErrorCode};
use super::field::FieldKind;
use super::hpack::{DecodeError, Decoder, ENTRY_OVERHEAD_BYTES, Field};
use super::limits::Limits;
use super::priority::Priority;
use crate::memory;
use crate::message::{
    Method, PATH_BYTES, RequestHead, RequestHeadBuilder, StatusCode, TARGET_BYTES, TargetForm, Version, decimal,
    is_host,
};

/// How much more than the limit of a head is decoded, before the connection ends.
const EXCESS_MAX: usize = 4;

/// Longest method in bytes, as in HTTP/1.1.
const METHOD_BYTES_MAX: usize = 32;

/// What the connection retains of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RequestInfo {
    pub(super) content_length: Option<u64>,
    pub(super) is_head: bool,
    pub(super) expects_continue: bool,
    pub(super) priority: Option<Priority>,
    /// An extended CONNECT: bytes follow in both directions in place of content.
    pub(super) is_tunnel: bool,
}

/// What is wrong with a block whose fields could be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The message is malformed: a stream error (RFC 9113 §8.1.1).
    Malformed,
    /// The request is answered with an error.
    Refused { status: StatusCode, reason: &'static str },
}

/// Why a block gives no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadError {
    Stream(Fault),
    Connection(ConnectionError),
}

impl From<DecodeError> for HeadError {
    fn from(error: DecodeError) -> Self {
        Self::Connection(match error {
            DecodeError::Malformed => {
                ConnectionError::new(ErrorCode::COMPRESSION_ERROR, "a header block cannot be decoded")
            }
            DecodeError::OutOfMemory => memory::OutOfMemory.into(),
        })
    }
}

impl From<memory::OutOfMemory> for HeadError {
    fn from(error: memory::OutOfMemory) -> Self {
        Self::Connection(error.into())
    }
}

const fn refused(status: StatusCode, reason: &'static str) -> Fault {
    Fault::Refused { status, reason }
}

const TOO_LARGE: Fault = refused(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "the head of the request is too large",
);
const TOO_MANY: Fault = refused(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "the request has too many fields",
);
const NAME_TOO_LONG: Fault = refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "a field name is too long");
const TRAILERS_TOO_LARGE: Fault = refused(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "the trailer section is too large",
);
const TARGET_TOO_LONG: Fault = refused(StatusCode::URI_TOO_LONG, "the request-target is too long");
const METHOD_TOO_LONG: Fault = refused(
    StatusCode::NOT_IMPLEMENTED,
    "the method is longer than every method this server knows",
);
const CONNECT_UNSUPPORTED: Fault = refused(
    StatusCode::NOT_IMPLEMENTED,
    "CONNECT is not supported: this server is not a proxy",
);
const PROTOCOL_UNKNOWN: Fault = refused(
    StatusCode::NOT_IMPLEMENTED,
    "CONNECT asks for another protocol than websocket",
);
const SCHEME: Fault = refused(StatusCode::BAD_REQUEST, "the scheme is not that of this connection");
const EXPECTATION: Fault = refused(
    StatusCode::EXPECTATION_FAILED,
    "Expect asks for something other than 100-continue",
);

/// Counts the fields of a block against the limits.
struct Count {
    bytes: usize,
    bytes_max: usize,
    fields: usize,
    fields_max: usize,
    too_large: Fault,
}

impl Count {
    /// Counts a field; pseudo-fields count as bytes only.
    fn add(&mut self, field: &Field) -> Result<Option<Fault>, ConnectionError> {
        self.bytes += field.name_bytes + field.value_bytes + ENTRY_OVERHEAD_BYTES;
        if self.bytes > self.bytes_max.saturating_mul(EXCESS_MAX) {
            return Err(ConnectionError::calm("a header block is far above its limit"));
        }
        self.fields += usize::from(!is_pseudo(field.kind));
        Ok(if self.bytes > self.bytes_max {
            Some(self.too_large)
        } else if self.fields > self.fields_max {
            Some(TOO_MANY)
        } else {
            None
        })
    }
}

fn is_pseudo(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Method
            | FieldKind::Scheme
            | FieldKind::Authority
            | FieldKind::Path
            | FieldKind::Status
            | FieldKind::Protocol
            | FieldKind::UnknownPseudo
    )
}

/// Reads the head of a request.
pub(super) fn read_request(
    decoder: &mut Decoder,
    mut block: &[u8],
    head: &mut RequestHead,
    limits: &Limits,
    is_secure: bool,
) -> Result<RequestInfo, HeadError> {
    let mut request = RequestBuilder {
        head: head.rewrite(),
        limits,
        is_secure,
        info: RequestInfo::default(),
        seen: Seen::default(),
        cookies: 0,
        host: None,
    };
    let mut count = Count {
        bytes: 0,
        bytes_max: limits.max_header_bytes,
        fields: 0,
        fields_max: limits.max_header_count,
        too_large: TOO_LARGE,
    };
    let mut fault = None;
    decoder.begin_block();
    loop {
        let start = request.head.buffer().len();
        let Some(field) = decoder.next_field(&mut block, request.head.buffer())? else {
            break;
        };
        let exceeded = count.add(&field).map_err(HeadError::Connection)?;
        fault = fault.or(exceeded).or_else(|| request.field(&field, start).err());
        if fault.is_some() {
            request.head.buffer().truncate(start);
        }
    }
    match fault {
        None => request.end(),
        Some(fault) => Err(HeadError::Stream(fault)),
    }
}

/// Reads trailers: fields without pseudo-fields, and without fields of a connection.
pub(super) fn read_trailers(
    decoder: &mut Decoder,
    mut block: &[u8],
    head: &mut RequestHead,
    limits: &Limits,
) -> Result<(), HeadError> {
    let mut builder = head.rewrite();
    let mut count = Count {
        bytes: 0,
        bytes_max: limits.max_trailer_bytes,
        fields: 0,
        fields_max: limits.max_trailer_count,
        too_large: TRAILERS_TOO_LARGE,
    };
    let mut fault = None;
    decoder.begin_block();
    loop {
        let start = builder.buffer().len();
        let Some(field) = decoder.next_field(&mut block, builder.buffer())? else {
            break;
        };
        let exceeded = count.add(&field).map_err(HeadError::Connection)?;
        fault = fault.or(exceeded);
        if fault.is_none() {
            match field.kind {
                FieldKind::Unsound | FieldKind::ConnectionSpecific => fault = Some(Fault::Malformed),
                kind if is_pseudo(kind) => fault = Some(Fault::Malformed),
                _ if field.name_bytes > limits.max_header_name_bytes => fault = Some(NAME_TOO_LONG),
                _ => {
                    let name = start..start + field.name_bytes;
                    builder.field_as_is(name.clone(), name.end..name.end + field.value_bytes);
                }
            }
        }
        if fault.is_some() {
            builder.buffer().truncate(start);
        }
    }
    fault.map_or(Ok(()), |fault| Err(HeadError::Stream(fault)))
}

/// Decodes a block whose fields are not needed, so that the table keeps in step.
pub(super) fn discard(
    decoder: &mut Decoder,
    block: &[u8],
    head: &mut RequestHead,
    limits: &Limits,
) -> Result<(), ConnectionError> {
    match read_trailers(decoder, block, head, limits) {
        Ok(()) | Err(HeadError::Stream(_)) => Ok(()),
        Err(HeadError::Connection(error)) => Err(error),
    }
}

/// Which parts of a head have come.
#[derive(Default)]
struct Seen {
    scheme: bool,
    path: bool,
    method: bool,
    /// `:protocol` of an extended CONNECT, and whether it is a WebSocket's.
    protocol: Option<bool>,
    field: bool,
}

/// A request under construction.
struct RequestBuilder<'h, 'l> {
    head: RequestHeadBuilder<'h>,
    limits: &'l Limits,
    is_secure: bool,
    info: RequestInfo,
    seen: Seen,
    cookies: usize,
    /// The value of `:authority`, or of `host`.
    host: Option<Range<usize>>,
}

impl RequestBuilder<'_, '_> {
    /// Adds a field whose name and value begin at `start` of the buffer.
    #[inline]
    fn field(&mut self, field: &Field, start: usize) -> Result<(), Fault> {
        let name = start..start + field.name_bytes;
        let value = name.end..name.end + field.value_bytes;
        if is_pseudo(field.kind) {
            // Pseudo-fields precede all others (RFC 9113 §8.3).
            return if self.seen.field {
                Err(Fault::Malformed)
            } else {
                self.pseudo(field.kind, value)
            };
        }
        self.seen.field = true;
        if field.name_bytes > self.limits.max_header_name_bytes {
            return Err(NAME_TOO_LONG);
        }
        match field.kind {
            FieldKind::Unsound | FieldKind::ConnectionSpecific => return Err(Fault::Malformed),
            FieldKind::Host => return self.host_field(name, value),
            FieldKind::Cookie => self.cookies += 1,
            FieldKind::ContentLength => {
                let length = decimal(self.bytes(value.clone())).ok_or(Fault::Malformed)?;
                if self.info.content_length.replace(length).is_some() {
                    return Err(Fault::Malformed);
                }
            }
            FieldKind::Te if self.bytes(value.clone()) != b"trailers" => return Err(Fault::Malformed),
            FieldKind::Expect => {
                if !self.bytes(value.clone()).eq_ignore_ascii_case(b"100-continue") {
                    return Err(EXPECTATION);
                }
                self.info.expects_continue = true;
            }
            FieldKind::Priority => self.info.priority = Some(Priority::parse(self.bytes(value.clone()))),
            _ => {}
        }
        self.head.field_as_is(name, value);
        Ok(())
    }

    /// Reads a pseudo-field; each comes at most once.
    fn pseudo(&mut self, kind: FieldKind, value: Range<usize>) -> Result<(), Fault> {
        match kind {
            FieldKind::Method if !core::mem::replace(&mut self.seen.method, true) => self.method(value),
            FieldKind::Scheme if !core::mem::replace(&mut self.seen.scheme, true) => self.scheme(value),
            FieldKind::Path if !core::mem::replace(&mut self.seen.path, true) => self.path(value),
            FieldKind::Authority if self.host.is_none() => self.authority(value),
            FieldKind::Protocol if self.limits.accepts_websockets && self.seen.protocol.is_none() => {
                self.seen.protocol = Some(self.bytes(value).eq_ignore_ascii_case(b"websocket"));
                Ok(())
            }
            _ => Err(Fault::Malformed),
        }
    }

    fn method(&mut self, value: Range<usize>) -> Result<(), Fault> {
        if value.len() > METHOD_BYTES_MAX {
            return Err(METHOD_TOO_LONG);
        }
        let method = Method::from_bytes(self.bytes(value)).map_err(|_| Fault::Malformed)?;
        self.info.is_head = method == Method::HEAD;
        self.head.method(method);
        Ok(())
    }

    /// The scheme must be the connection's: a request for `https` over cleartext was meant for another server.
    fn scheme(&self, value: Range<usize>) -> Result<(), Fault> {
        let own: &[u8] = if self.is_secure { b"https" } else { b"http" };
        if self.bytes(value).eq_ignore_ascii_case(own) {
            Ok(())
        } else {
            Err(SCHEME)
        }
    }

    /// Reads a path with its query (RFC 9113 §8.3.1). The whole is checked at the end, with the method.
    fn path(&mut self, value: Range<usize>) -> Result<(), Fault> {
        if value.len() > self.limits.max_target_bytes {
            return Err(TARGET_TOO_LONG);
        }
        let target = self.bytes(value.clone());
        match target {
            b"*" => {
                self.head.target_at(TargetForm::Asterisk, value).path(0..1, None);
                Ok(())
            }
            [b'/', ..] => {
                let (path, rest) = PATH_BYTES.split(target);
                let path = 0..path.len();
                let query = match rest {
                    [] => None,
                    [b'?', query @ ..] if TARGET_BYTES.contains_all(query) => {
                        Some(path.end + 1..path.end + 1 + query.len())
                    }
                    _ => return Err(Fault::Malformed),
                };
                self.head.target_at(TargetForm::Origin, value).path(path, query);
                Ok(())
            }
            _ => Err(Fault::Malformed),
        }
    }

    /// Reads `:authority`, which applications see as `host` too.
    fn authority(&mut self, value: Range<usize>) -> Result<(), Fault> {
        self.set_authority(value.clone())?;
        // The name of the pseudo-field is `:authority`, so the name `host` is put behind the value.
        let name = value.end..value.end + HOST.len();
        let buffer = self.head.buffer();
        memory::append(buffer, HOST).map_err(|_| TOO_LARGE)?;
        self.head.field_as_is(name, value.clone());
        self.host = Some(value);
        Ok(())
    }

    /// Reads `host`, which must not differ from `:authority` (RFC 9113 §8.3.1).
    fn host_field(&mut self, name: Range<usize>, value: Range<usize>) -> Result<(), Fault> {
        if let Some(known) = self.host.clone() {
            let is_same = self.bytes(known) == self.bytes(value);
            return if is_same { Ok(()) } else { Err(Fault::Malformed) };
        }
        self.set_authority(value.clone())?;
        self.head.field_as_is(name, value.clone());
        self.host = Some(value);
        Ok(())
    }

    fn set_authority(&mut self, value: Range<usize>) -> Result<(), Fault> {
        let authority = self.bytes(value.clone());
        // Nearly all requests name the same host, which then needs no second check.
        if !authority.is_empty() && authority == self.head.last_authority().as_bytes() {
            self.head.keep_authority();
        } else if authority.is_empty() || !is_host(authority) {
            return Err(Fault::Malformed);
        } else {
            self.head.authority(value);
        }
        Ok(())
    }

    /// Ends the head: what is missing or does not fit together.
    fn end(mut self) -> Result<RequestInfo, HeadError> {
        let malformed = Err(HeadError::Stream(Fault::Malformed));
        let Seen {
            scheme,
            path,
            method,
            protocol,
            ..
        } = self.seen;
        let head = self.head.so_far();
        if !method || self.host.is_none() {
            return malformed;
        }
        let is_connect = *head.method() == Method::CONNECT;
        // Only an extended CONNECT has scheme and path, and only a CONNECT a protocol (RFC 8441 §4).
        if is_connect && protocol.is_none() {
            return match scheme || path {
                true => malformed,
                false => Err(HeadError::Stream(CONNECT_UNSUPPORTED)),
            };
        }
        let is_asterisk = head.target_form() == TargetForm::Asterisk;
        if !scheme || !path || is_asterisk && *head.method() != Method::OPTIONS {
            return malformed;
        }
        match protocol {
            None => {}
            // A tunnel has no content, so no length either.
            Some(_) if !is_connect || self.info.content_length.is_some() => return malformed,
            Some(false) => return Err(HeadError::Stream(PROTOCOL_UNKNOWN)),
            Some(true) => {
                self.info.is_tunnel = true;
                self.head.extended_connect();
            }
        }
        self.head.version(Version::Http2);
        if self.cookies > 1 {
            self.head.join_cookies()?;
        }
        Ok(self.info)
    }

    fn bytes(&self, place: Range<usize>) -> &[u8] {
        self.head.bytes_at(place)
    }
}

const HOST: &[u8] = b"host";

/// What a client's connection retains of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResponseInfo {
    pub(super) status: StatusCode,
    pub(super) content_length: Option<u64>,
}

/// Reads the head of a response, whose fields become those of `head`.
pub(super) fn read_response(
    decoder: &mut Decoder,
    mut block: &[u8],
    head: &mut RequestHead,
    limits: &Limits,
) -> Result<ResponseInfo, HeadError> {
    let mut builder = head.rewrite();
    let mut count = Count {
        bytes: 0,
        bytes_max: limits.max_header_bytes,
        fields: 0,
        fields_max: limits.max_header_count,
        too_large: TOO_LARGE,
    };
    let (mut fault, mut status, mut content_length, mut has_field) = (None, None, None, false);
    decoder.begin_block();
    loop {
        let start = builder.buffer().len();
        let Some(field) = decoder.next_field(&mut block, builder.buffer())? else {
            break;
        };
        let exceeded = count.add(&field).map_err(HeadError::Connection)?;
        fault = fault.or(exceeded);
        let name = start..start + field.name_bytes;
        let value = name.end..name.end + field.value_bytes;
        match field.kind {
            FieldKind::Status if status.is_none() && !has_field => {
                status = StatusCode::from_bytes(builder.bytes_at(value)).ok();
            }
            FieldKind::Unsound | FieldKind::ConnectionSpecific => fault = fault.or(Some(Fault::Malformed)),
            kind if is_pseudo(kind) => fault = fault.or(Some(Fault::Malformed)),
            kind => {
                has_field = true;
                if kind == FieldKind::ContentLength {
                    let length = decimal(builder.bytes_at(value.clone()));
                    if length.is_none() || core::mem::replace(&mut content_length, length).is_some() {
                        fault = fault.or(Some(Fault::Malformed));
                    }
                }
                if fault.is_none() {
                    builder.field_as_is(name, value);
                }
            }
        }
        if fault.is_some() {
            builder.buffer().truncate(start);
        }
    }
    match (fault, status) {
        (None, Some(status)) => Ok(ResponseInfo { status, content_length }),
        (Some(fault), _) => Err(HeadError::Stream(fault)),
        (None, None) => Err(HeadError::Stream(Fault::Malformed)),
    }
}
