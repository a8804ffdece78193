//! The head of a request: method, request-target, version and fields (RFC 9110 §6, RFC 9112 §3).
//!
//! Invariant: every [`Span`] lies inside `bytes`, names are stored in lower case, and everything but field values is visible
//! ASCII. Only a [`RequestHeadBuilder`] writes a head, so the invariant is kept in this file.

use http::Method;

use crate::memory::{self, OutOfMemory};

/// The version of HTTP/1 a request was made in (RFC 9112 §2.3). Higher minor versions are read as 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// HTTP/1.0: no chunked coding, closed after the response unless `keep-alive` was asked for.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// Which of the four forms the request-target had (RFC 9112 §3.2).
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

/// A range of a head's buffer. Heads are limited to far less than 4 GiB, so 32 bits do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// Where one field line lies in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FieldSpan {
    name: Span,
    value: Span,
}

/// The head of one request, in one buffer that is used again for the next.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    bytes: Vec<u8>,
    /// The request-target once more, as text: the application asks for its path again and again, and bytes would have to be proved
    /// to be text each time.
    target_text: String,
    method: Method,
    version: Version,
    form: TargetForm,
    /// The authority as text; without one, that of an earlier request, as the next one most likely has the same.
    authority_text: String,
    has_authority: bool,
    /// In the target's text.
    path: Span,
    /// In the target's text, without the `?`; `None` where it has no `?` at all.
    query: Option<Span>,
    fields: Vec<FieldSpan>,
}

impl RequestHead {
    /// Makes an empty head; nothing is allocated until it is filled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to fill this head, forgetting what it held but keeping its memory.
    pub fn rewrite(&mut self) -> RequestHeadBuilder<'_> {
        self.bytes.clear();
        self.target_text.clear();
        self.fields.clear();
        self.method = Method::GET;
        self.version = Version::Http11;
        self.form = TargetForm::Origin;
        self.has_authority = false;
        self.path = Span::default();
        self.query = None;
        RequestHeadBuilder { head: self }
    }

    /// Forgets what it held and makes room for a head of so many bytes.
    pub(crate) fn make_room(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.bytes.clear();
        memory::make_room(&mut self.bytes, bytes)
    }

    /// The method, as sent (methods are case-sensitive, RFC 9110 §9.1).
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The version the request was made in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The form of the request-target.
    #[must_use]
    pub fn target_form(&self) -> TargetForm {
        self.form
    }

    /// The request-target, byte for byte as sent.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target_text
    }

    /// The scheme that an absolute-form target names, `http` or `https`; `None` for the other forms, which name none (RFC 9112 §3.3).
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

    /// The authority of an absolute-form or authority-form target, else the value of `Host`; empty where there is neither
    /// (RFC 9112 §3.3). As sent, a default port included.
    #[must_use]
    pub fn authority(&self) -> &str {
        if self.has_authority { &self.authority_text } else { "" }
    }

    /// The path, still percent-encoded, without the query. `*` for the asterisk-form, empty for the authority-form.
    #[must_use]
    pub fn path(&self) -> &str {
        self.in_target(self.path)
    }

    /// The query, still percent-encoded, without its `?`; `None` where the target has no `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.map(|span| self.in_target(span))
    }

    /// The fields, in the order received.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields { head: self }
    }

    /// Gives back memory beyond `bytes_max` bytes, so that one large head does not stay resident for ever.
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

/// The fields of a request, in the order received. Names are in lower case; values are bytes without surrounding blanks, and
/// may hold 0x80–0xFF but no control character other than TAB (RFC 9110 §5.5).
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    head: &'a RequestHead,
}

impl<'a> Fields<'a> {
    /// How many field lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.fields.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.fields.is_empty()
    }

    /// Every field line as (lower-case name, value), in the order received.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let head = self.head;
        head.fields
            .iter()
            .map(move |field| (head.text(field.name), head.slice(field.value)))
    }

    /// Every value of the field `name` (any case), in the order received.
    pub fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let head = self.head;
        let is_named = move |field: &&FieldSpan| head.slice(field.name).eq_ignore_ascii_case(name.as_bytes());
        head.fields.iter().filter(is_named).map(|field| head.slice(field.value))
    }

    /// The first value of the field `name` (any case).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// The first value of the field `name` (any case), if it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|value| str::from_utf8(value).ok())
    }

    /// Whether the comma-separated list in all lines of field `name` holds `token`, compared without case (RFC 9110 §5.6.1).
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get_all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// Fills a [`RequestHead`]: first the whole head's bytes in one copy, then spans into it and into its target. Offsets that
/// lie outside read as empty rather than panic.
#[derive(Debug)]
pub struct RequestHeadBuilder<'a> {
    head: &'a mut RequestHead,
}

impl RequestHeadBuilder<'_> {
    /// The head as far as it has been filled.
    #[must_use]
    pub fn so_far(&self) -> &RequestHead {
        self.head
    }

    /// The authority of the request before that had one; empty at first.
    #[must_use]
    pub fn last_authority(&self) -> &str {
        &self.head.authority_text
    }

    /// Sets the authority to that one again.
    pub fn keep_authority(&mut self) -> &mut Self {
        self.head.has_authority = true;
        self
    }

    /// Copies the head as received; all later offsets are counted from its first byte.
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

    /// Sets the request-target: its form and its text, which the caller has checked to be visible ASCII.
    pub fn target(&mut self, form: TargetForm, text: &str) -> &mut Self {
        self.head.form = form;
        self.head.target_text.push_str(text);
        self
    }

    /// Sets the authority: of the target where it has one, else of the `Host` field. The caller has checked that it is one.
    pub fn authority(&mut self, authority: core::ops::Range<usize>) -> &mut Self {
        let RequestHead {
            bytes, authority_text, ..
        } = &mut *self.head;
        let authority = bytes.get(authority).unwrap_or_default();
        authority_text.clear();
        authority_text.push_str(str::from_utf8(authority).unwrap_or_default());
        self.keep_authority()
    }

    /// Sets the path and the query (without its `?`); both count from the target's first byte.
    pub fn path(&mut self, path: core::ops::Range<usize>, query: Option<core::ops::Range<usize>>) -> &mut Self {
        self.head.path = span(path);
        self.head.query = query.map(span);
        self
    }

    /// Adds one field line and turns its name to lower case. The caller has checked that the name is a token.
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

/// Turns a field name to lower case. Names are short, many and on the path of every request, so those of usual length
/// go by their first and their last bytes in words, which may overlap. Both are read before either is written: a read
/// of what two writes have just touched would wait for both to reach the cache.
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

/// Turns eight ASCII bytes to lower case. Bit 7 of each byte of `from_a` is set from `A` on, of `beyond_z` past `Z`; no
/// sum carries into the next byte, because no ASCII byte has bit 7.
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

/// An offset past 4 GiB cannot come from a head within any limit; it reads as an empty span.
fn offset(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::lower_name;

    #[test]
    fn names_of_any_length_turn_to_lower_case_and_nothing_else_does() {
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
