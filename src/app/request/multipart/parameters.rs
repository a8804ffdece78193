//! The parameters behind a media type or a disposition: `; name=value; name="value"` (RFC 9110 §5.6.6).
//!
//! In a quoted value, a backslash escapes a quote or a backslash and is itself elsewhere: browsers send file names such
//! as `C:\notes.txt` without escapes.

use std::borrow::Cow;

use memchr::memchr2;

use crate::message::TOKEN_BYTES;

/// The parameters of a field value, in order; ends after the first malformed one.
pub(super) struct Parameters<'v> {
    rest: &'v [u8],
}

/// One parameter.
pub(super) struct Parameter<'v> {
    pub(super) name: &'v [u8],
    /// The value, without quotes and escapes.
    pub(super) value: Cow<'v, [u8]>,
}

/// The error of a malformed parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'v> Parameters<'v> {
    /// Splits a field value into the text before its first parameter, and the parameters.
    pub(super) fn split(value: &'v [u8]) -> (&'v [u8], Self) {
        let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
        let (before, rest) = value.split_at(end);
        (before.trim_ascii(), Self { rest })
    }

    /// Reads the parameter at the start of `text`.
    fn read(&mut self, text: &'v [u8]) -> Option<Parameter<'v>> {
        let (name, rest) = TOKEN_BYTES.split(text);
        let rest = rest.strip_prefix(b"=").filter(|_| !name.is_empty())?;
        let (value, rest) = match rest.strip_prefix(b"\"") {
            Some(quoted) => read_quoted(quoted)?,
            None => read_unquoted(rest)?,
        };
        self.rest = rest;
        Some(Parameter { name, value })
    }
}

impl<'v> Iterator for Parameters<'v> {
    type Item = Result<Parameter<'v>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = core::mem::take(&mut self.rest).trim_ascii_start();
            if rest.is_empty() {
                return None;
            }
            let Some(text) = rest.strip_prefix(b";").map(<[u8]>::trim_ascii_start) else {
                return Some(Err(Malformed));
            };
            // An empty parameter is allowed, as in `form-data;`.
            if text.is_empty() || text.starts_with(b";") {
                self.rest = text;
                continue;
            }
            return Some(self.read(text).ok_or(Malformed));
        }
    }
}

/// Reads a value up to the next `;`. It may hold bytes beyond a token's, such as the `=` of many boundaries.
fn read_unquoted(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let end = text.iter().position(|&byte| byte == b';').unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    let value = value.trim_ascii_end();
    let is_plain = |&byte: &u8| byte > b' ' && byte != b'"' && byte != 0x7f;
    (!value.is_empty() && value.iter().all(is_plain)).then_some((Cow::Borrowed(value), rest))
}

/// Reads a value up to its closing quote, of which the opening one is gone.
fn read_quoted(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut value = Cow::Borrowed(&[][..]);
    let mut rest = text;
    loop {
        let (plain, from) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
        append(&mut value, plain);
        match from {
            [b'"', after @ ..] => return Some((value, after)),
            [b'\\', b'"' | b'\\', after @ ..] => {
                append(&mut value, from.get(1..2)?);
                rest = after;
            }
            [_, after @ ..] => {
                append(&mut value, b"\\");
                rest = after;
            }
            [] => return None,
        }
    }
}

/// Appends text, without a copy if the value is empty.
fn append<'v>(value: &mut Cow<'v, [u8]>, text: &'v [u8]) {
    if value.is_empty() {
        *value = Cow::Borrowed(text);
    } else if !text.is_empty() {
        value.to_mut().extend_from_slice(text);
    }
}
