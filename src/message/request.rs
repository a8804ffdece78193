//! The head of a request: method, request-target, version and fields (RFC 9110 §6, RFC 9112 §3).
//!
//! Invariant: every [`Span`] is inside `bytes`, names are in lower case, and everything except field values is
//! visible ASCII. Only a [`RequestHeadBuilder`] writes a head, so this file alone maintains the invariant.

use http::Method;

use crate::memory::{self, OutOfMemory};

/// The version of HTTP that a request came in; higher minor versions of HTTP/1 are read as 1.1 (RFC 9112 §2.3).
///
/// The server speaks HTTP/1.0, HTTP/1.1 and HTTP/2 today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Version {
    /// HTTP/1.0: without chunked coding; the connection closes after the response unless the client sent
    /// `keep-alive`.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2 (RFC 9113).
    Http2,
    /// HTTP/3 (RFC 9114).
    Http3,
}

/// The form of a request-target (RFC 9112 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TargetForm {
    /// `/path?query`, the usual form.
    #[default]
    Origin,
    /// `http://host/path?query`, as sent to proxies; its authority replaces `Host`.
    Absolute,
    /// `host:port`, for CONNECT only.
    Authority,
    /// `*`, for a server-wide OPTIONS.
    Asterisk,
}

/// A range of a head's buffer. Limits hold heads far below 4 GiB, so 32 bits suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// The position of one field line in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FieldSpan {
    name: Span,
    value: Span,
}

/// The head of one request, in one buffer that later requests reuse.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    bytes: Vec<u8>,
    /// A copy of the request-target as text.
    ///
    /// The application reads its path several times, and each read of `bytes` would validate UTF-8 again.
    target_text: String,
    method: Method,
    version: Version,
    form: TargetForm,
    /// The authority as text. It stays after its request, because the next one usually has the same.
    authority_text: String,
    has_authority: bool,
    is_extended_connect: bool,
    /// A span of `target_text`.
    path: Span,
    /// A span of `target_text` without the `?`; `None` where the target has no `?`.
    query: Option<Span>,
    fields: Vec<FieldSpan>,
}

impl RequestHead {
    /// Makes an empty head, which allocates nothing until it is filled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to fill this head: clears it and retains its memory.
    pub fn rewrite(&mut self) -> RequestHeadBuilder<'_> {
        self.bytes.clear();
        self.target_text.clear();
        self.fields.clear();
        self.method = Method::GET;
        self.version = Version::Http11;
        self.form = TargetForm::Origin;
        self.has_authority = false;
        self.is_extended_connect = false;
        self.path = Span::default();
        self.query = None;
        RequestHeadBuilder { head: self }
    }

    /// Clears the head and makes room for one of `bytes` bytes.
    pub(crate) fn make_room(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.bytes.clear();
        memory::make_room(&mut self.bytes, bytes)
    }

    /// Returns the method, which is case-sensitive (RFC 9110 §9.1).
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the version of the request.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns whether this is an extended CONNECT for a WebSocket (RFC 8441 §4).
    ///
    /// Its [`method`](Self::method) is GET, as over HTTP/1.1, so the routes of WebSockets are the same.
    #[must_use]
    pub fn is_extended_connect(&self) -> bool {
        self.is_extended_connect
    }

    /// Returns the form of the request-target.
    #[must_use]
    pub fn target_form(&self) -> TargetForm {
        self.form
    }

    /// Returns the request-target, byte for byte as received.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target_text
    }

    /// Returns the scheme of an absolute-form target, `http` or `https`; `None` for the other forms (RFC 9112 §3.3).
    #[must_use]
    pub fn scheme(&self) -> Option<&'static str> {
        if self.form != TargetForm::Absolute {
            return None;
        }
        let scheme = self.target().split(':').next().unwrap_or_default();
        ["http", "https"]
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(scheme))
    }

    /// Returns the authority of the target, else the value of `Host`, as received (RFC 9112 §3.3).
    ///
    /// Absolute-form and authority-form targets have an authority. The text is empty if the request has neither. A
    /// default port is not removed.
    #[must_use]
    pub fn authority(&self) -> &str {
        if self.has_authority { &self.authority_text } else { "" }
    }

    /// Returns the path without the query, percent-encoded as received.
    ///
    /// It is `*` for the asterisk-form and empty for the authority-form.
    #[must_use]
    pub fn path(&self) -> &str {
        self.in_target(self.path)
    }

    /// Returns the query without its `?`, percent-encoded as received; `None` where the target has no `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.map(|span| self.in_target(span))
    }

    /// Returns the fields, in the order received.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields { head: self }
    }

    /// Frees the buffers if they exceed `bytes_max` bytes, so that one large head does not occupy memory permanently.
    pub fn shrink(&mut self, bytes_max: usize) {
        if self.bytes.capacity() > bytes_max {
            self.bytes = Vec::new();
            self.target_text = String::new();
            self.authority_text = String::new();
            self.fields = Vec::new();
            self.rewrite();
        }
    }

    fn in_target(&self, span: Span) -> &str {
        let place = span.start as usize..span.end as usize;
        self.target_text.get(place).unwrap_or_default()
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.bytes
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    fn text(&self, span: Span) -> &str {
        str::from_utf8(self.slice(span)).unwrap_or_default()
    }
}

/// The fields of a request, in the order received.
///
/// Names are in lower case. Values are bytes without surrounding spaces and tabs. They may contain 0x80–0xFF, and no
/// control character except TAB (RFC 9110 §5.5).
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    head: &'a RequestHead,
}

impl<'a> Fields<'a> {
    /// Returns the number of field lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.fields.len()
    }

    /// Returns whether there are zero field lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.fields.is_empty()
    }

    /// Returns every field line as (lower-case name, value), in the order received.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let head = self.head;
        head.fields
            .iter()
            .map(move |field| (head.text(field.name), head.slice(field.value)))
    }

    /// Returns every value of the field `name` (any case), in the order received.
    pub fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let head = self.head;
        let is_named = move |field: &&FieldSpan| head.slice(field.name).eq_ignore_ascii_case(name.as_bytes());
        head.fields.iter().filter(is_named).map(|field| head.slice(field.value))
    }

    /// Returns the first value of the field `name` (any case).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// Returns the first value of the field `name` (any case) if it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|value| str::from_utf8(value).ok())
    }

    /// Returns whether the comma-separated list of field `name` contains `token`, compared without case (RFC 9110
    /// §5.6.1).
    ///
    /// The list spans all lines of that name.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get_all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// Fills a [`RequestHead`]: first all bytes in one copy, then spans into them.
///
/// An offset outside the bytes reads as empty and does not panic.
#[derive(Debug)]
pub struct RequestHeadBuilder<'a> {
    head: &'a mut RequestHead,
}

impl RequestHeadBuilder<'_> {
    /// Returns the head as filled so far.
    #[must_use]
    pub fn so_far(&self) -> &RequestHead {
        self.head
    }

    /// Returns the authority of the last request that had one; empty at first.
    #[must_use]
    pub fn last_authority(&self) -> &str {
        &self.head.authority_text
    }

    /// Sets the authority to [`last_authority`](Self::last_authority).
    pub fn keep_authority(&mut self) -> &mut Self {
        self.head.has_authority = true;
        self
    }

    /// Copies the head as received; later offsets count from its first byte.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.head.bytes.extend_from_slice(bytes);
        self
    }

    /// Sets the method.
    pub fn method(&mut self, method: Method) -> &mut Self {
        self.head.method = method;
        self
    }

    /// Sets the version.
    pub fn version(&mut self, version: Version) -> &mut Self {
        self.head.version = version;
        self
    }

    /// Sets the form and text of the request-target; the caller has checked that the text is visible ASCII.
    pub fn target(&mut self, form: TargetForm, text: &str) -> &mut Self {
        self.head.form = form;
        self.head.target_text.push_str(text);
        self
    }

    /// Sets the authority: that of the target, else the `Host` field; the caller has validated it.
    pub fn authority(&mut self, authority: core::ops::Range<usize>) -> &mut Self {
        let RequestHead {
            bytes, authority_text, ..
        } = &mut *self.head;
        let authority = bytes.get(authority).unwrap_or_default();
        authority_text.clear();
        authority_text.push_str(str::from_utf8(authority).unwrap_or_default());
        self.keep_authority()
    }

    /// Sets the path and the query (without its `?`), as offsets from the first byte of the target.
    pub fn path(&mut self, path: core::ops::Range<usize>, query: Option<core::ops::Range<usize>>) -> &mut Self {
        self.head.path = span(path);
        self.head.query = query.map(span);
        self
    }

    /// Adds a field line and converts its name to lower case; the caller has checked that the name is a token.
    #[inline]
    pub fn field(&mut self, name: core::ops::Range<usize>, value: core::ops::Range<usize>) -> &mut Self {
        if let Some(name) = self.head.bytes.get_mut(name.clone()) {
            lower_name(name);
        }
        self.head.fields.push(FieldSpan {
            name: span(name),
            value: span(value),
        });
        self
    }
}

/// For heads that do not arrive as text: their bytes are decoded into the buffer of the head.
impl RequestHeadBuilder<'_> {
    /// Returns the buffer, to which names and values are appended. Bytes that a span covers stay as they are.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.head.bytes
    }

    /// Returns a part of the buffer.
    pub(crate) fn bytes_at(&self, place: core::ops::Range<usize>) -> &[u8] {
        self.head.bytes.get(place).unwrap_or_default()
    }

    /// Sets form and text of the request-target from the buffer; the caller has checked that it is visible ASCII.
    pub(crate) fn target_at(&mut self, form: TargetForm, place: core::ops::Range<usize>) -> &mut Self {
        let RequestHead { bytes, target_text, .. } = &mut *self.head;
        target_text.push_str(str::from_utf8(bytes.get(place).unwrap_or_default()).unwrap_or_default());
        self.head.form = form;
        self
    }

    /// Turns a CONNECT into the GET as which a WebSocket is opened.
    pub(crate) fn extended_connect(&mut self) -> &mut Self {
        self.head.method = Method::GET;
        self.head.is_extended_connect = true;
        self
    }

    /// Adds a field line whose name is a token in lower case.
    #[inline]
    pub(crate) fn field_as_is(&mut self, name: core::ops::Range<usize>, value: core::ops::Range<usize>) -> &mut Self {
        self.head.fields.push(FieldSpan {
            name: span(name),
            value: span(value),
        });
        self
    }

    /// Joins all fields `cookie` with `; ` into one behind the others (RFC 9113 §8.2.3).
    pub(crate) fn join_cookies(&mut self) -> Result<(), OutOfMemory> {
        let RequestHead { bytes, fields, .. } = &mut *self.head;
        let place = |span: Span| span.start as usize..span.end as usize;
        let is_cookie = |bytes: &[u8], field: &FieldSpan| bytes.get(place(field.name)) == Some(b"cookie");
        let crumbs: usize = fields.iter().map(|field| place(field.value).len() + 2).sum();
        memory::make_room(bytes, crumbs)?;
        let start = bytes.len();
        let mut name = None;
        for index in 0..fields.len() {
            let Some(field) = fields.get(index).copied().filter(|field| is_cookie(bytes, field)) else {
                continue;
            };
            if name.replace(field.name).is_some() {
                bytes.extend_from_slice(b"; ");
            }
            let value = place(field.value);
            if value.end <= start {
                bytes.extend_from_within(value);
            }
        }
        fields.retain(|field| !is_cookie(bytes, field));
        if let Some(name) = name {
            fields.push(FieldSpan {
                name,
                value: span(start..bytes.len()),
            });
        }
        Ok(())
    }
}

/// Converts a field name to lower case.
///
/// Names are short, and every request has many. So names of 4 to 16 bytes are converted as two words, the first and
/// the last bytes, which may overlap. Both are read before either is written: a read that overlaps two recent writes
/// would wait for the cache.
fn lower_name(name: &mut [u8]) {
    if let (8..=16, Some(&first), Some(&last)) = (name.len(), name.first_chunk::<8>(), name.last_chunk::<8>()) {
        put_ends(name, lower_word(first), lower_word(last));
    } else if let (4..8, Some(&[a, b, c, d]), Some(&[e, f, g, h])) = (name.len(), name.first_chunk(), name.last_chunk())
    {
        let [a, b, c, d, e, f, g, h] = lower_word([a, b, c, d, e, f, g, h]);
        put_ends(name, [a, b, c, d], [e, f, g, h]);
    } else {
        name.make_ascii_lowercase();
    }
}

fn put_ends<const N: usize>(name: &mut [u8], first: [u8; N], last: [u8; N]) {
    if let Some(place) = name.first_chunk_mut() {
        *place = first;
    }
    if let Some(place) = name.last_chunk_mut() {
        *place = last;
    }
}

/// Converts eight ASCII bytes to lower case.
///
/// Bit 7 of each byte of `from_a` is set from `A` on, of `beyond_z` after `Z`. ASCII has bit 7 clear, so no sum
/// carries into the next byte.
fn lower_word(bytes: [u8; 8]) -> [u8; 8] {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let word = u64::from_ne_bytes(bytes);
    let from_a = word.wrapping_add(EACH * (0x80 - b'A' as u64));
    let beyond_z = word.wrapping_add(EACH * (0x7f - b'Z' as u64));
    let is_upper = (from_a ^ beyond_z) & (EACH * 0x80);
    (word | is_upper >> 2).to_ne_bytes()
}

fn span(range: core::ops::Range<usize>) -> Span {
    Span {
        start: offset(range.start),
        end: offset(range.end),
    }
}

/// An offset of 4 GiB or more exceeds every limit; it reads as an empty span.
fn offset(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::lower_name;

    #[test]
    fn ascii_letters_turn_to_lower_case_at_every_length() {
        let ascii: Vec<u8> = (0..0x80).collect();
        for length in 0..=ascii.len() {
            for start in 0..=ascii.len() - length {
                let mut name = ascii[start..start + length].to_vec();
                lower_name(&mut name);
                assert_eq!(
                    name,
                    ascii[start..start + length].to_ascii_lowercase(),
                    "{length} bytes from {start}"
                );
            }
        }
    }
}
