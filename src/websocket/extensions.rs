//! The parser of `Sec-WebSocket-Extensions` (RFC 6455 §9.1): names with parameters, not interpreted yet.

use crate::message::{TOKEN_BYTES, is_token};
use std::borrow::Cow;

/// One offered or accepted extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extension<'v> {
    pub(super) name: &'v str,
    pub(super) parameters: Vec<Parameter<'v>>,
}

/// One parameter. A quoted value is unquoted; the RFC requires it to be a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter<'v> {
    pub(super) name: &'v str,
    pub(super) value: Option<Cow<'v, str>>,
}

/// The list violates the grammar, so the handshake must fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads the list of one field line; empty elements are ignored (RFC 9110 §5.6.1).
pub(super) fn parse<'v>(value: &'v [u8], list: &mut Vec<Extension<'v>>) -> Result<(), Malformed> {
    let mut reader = Reader {
        rest: str::from_utf8(value).map_err(|_| Malformed)?,
    };
    loop {
        reader.skip_blanks();
        if !reader.rest.is_empty() && !reader.rest.starts_with(',') {
            list.push(reader.extension()?);
        }
        if reader.rest.is_empty() {
            return Ok(());
        }
        if !reader.eat(',') {
            return Err(Malformed);
        }
    }
}

struct Reader<'v> {
    rest: &'v str,
}

impl<'v> Reader<'v> {
    fn extension(&mut self) -> Result<Extension<'v>, Malformed> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.eat(';') {
            let name = self.token()?;
            let value = self.eat('=').then(|| self.value()).transpose()?;
            parameters.push(Parameter { name, value });
        }
        Ok(Extension { name, parameters })
    }

    fn value(&mut self) -> Result<Cow<'v, str>, Malformed> {
        if !self.eat('"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next().ok_or(Malformed)? {
                '"' => break,
                '\\' => value.push(characters.next().ok_or(Malformed)?),
                character => value.push(character),
            }
        }
        self.rest = characters.as_str();
        self.skip_blanks();
        if is_token(value.as_bytes()) {
            Ok(Cow::Owned(value))
        } else {
            Err(Malformed)
        }
    }

    fn token(&mut self) -> Result<&'v str, Malformed> {
        self.skip_blanks();
        let end = self.rest.bytes().position(|byte| !TOKEN_BYTES.contains(byte));
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        self.skip_blanks();
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    /// Takes a delimiter and the blanks behind it.
    fn eat(&mut self, mark: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(mark) else {
            return false;
        };
        self.rest = rest;
        if mark != '"' {
            self.skip_blanks();
        }
        true
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
}
