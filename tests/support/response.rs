//! A strict parser of response heads and chunk lines, written from RFC 9112 without code of the server.
//!
//! It refuses what a tolerant client would accept: a server that only tolerant clients understand is wrong.

use super::{Outcome, ensure, show};

/// How a response body ends (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body, whatever the fields say: a response to HEAD, 1xx, 204, 304.
    None,
    /// After this number of bytes.
    Length(usize),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// One whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The fields in order, names in lower case.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// How the body ended.
    pub(crate) framing: Framing,
    /// The decoded body.
    pub(crate) body: Vec<u8>,
    /// The chunks, when the body was chunked.
    pub(crate) chunks: Vec<Vec<u8>>,
}

impl Response {
    /// The value of a field that may come at most once.
    ///
    /// # Panics
    ///
    /// When the field comes twice.
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.fields.iter().filter(|(other, _)| other == name);
        let first = values.next();
        assert!(values.next().is_none(), "{name} twice in {self:?}");
        first.map(|(_, value)| value.as_slice())
    }

    /// The members of a list field, in lower case (RFC 9110 §5.6.1).
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.fields
            .iter()
            .filter(|(other, _)| other == name)
            .flat_map(|(_, value)| value.split(|byte| *byte == b','))
            .map(|member| member.trim_ascii().escape_ascii().to_string().to_ascii_lowercase())
            .filter(|member| !member.is_empty())
            .collect()
    }

    /// Whether the server announces that it closes the connection after this response (RFC 9112 §9.6).
    pub(crate) fn announces_close(&self) -> bool {
        self.list("connection").iter().any(|option| option == "close")
    }

    /// Whether this is a 1xx response, which the final one follows.
    pub(crate) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// Checks status and body.
    pub(crate) fn expect(&self, status: u16, body: &[u8]) -> Outcome<()> {
        ensure(self.status == status && self.body == body, || {
            format!(
                "expected {status} with body \"{}\", got {} with body \"{}\"",
                show(body),
                self.status,
                show(&self.body)
            )
        })
    }

    /// Checks the status alone.
    pub(crate) fn expect_status(&self, status: u16) -> Outcome<()> {
        ensure(self.status == status, || {
            format!(
                "expected {status}, got {} with body \"{}\"",
                self.status,
                show(&self.body)
            )
        })
    }
}

/// Reads a head out of `bytes`, which end with its empty line.
pub(crate) fn read_head(bytes: &[u8], method: &str) -> Outcome<Response> {
    let text = bytes
        .strip_suffix(b"\r\n\r\n")
        .ok_or("a head must end with an empty line")?;
    let mut lines = split_at_crlf(text).into_iter();
    let status = read_status_line(lines.next().unwrap_or_default())?;
    let fields = lines.map(read_field).collect::<Outcome<Vec<_>>>()?;
    let mut response = Response {
        status,
        fields,
        framing: Framing::None,
        body: Vec::new(),
        chunks: Vec::new(),
    };
    response.framing = framing(&response, method)?;
    Ok(response)
}

/// Reads a chunk-size line without its CRLF; the server must not send extensions.
pub(crate) fn read_chunk_size(line: &[u8]) -> Outcome<usize> {
    let text = str::from_utf8(line).unwrap_or_default();
    let is_hexadecimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure(is_hexadecimal, || format!("bad chunk-size line \"{}\"", show(line)))?;
    usize::from_str_radix(text, 16).map_err(|error| format!("bad chunk size {text}: {error}"))
}

/// Reads one field line without its CRLF.
pub(crate) fn read_field(line: &[u8]) -> Outcome<(String, Vec<u8>)> {
    let complaint = || format!("bad field line \"{}\"", show(line));
    let colon = line.iter().position(|byte| *byte == b':').ok_or_else(complaint)?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default();
    let is_token = !name.is_empty() && name.iter().all(|byte| is_token_byte(*byte));
    let is_value = value
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    ensure(is_token && is_value, complaint)?;
    let start = value.iter().position(|byte| !is_blank(*byte)).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !is_blank(*byte))
        .map_or(start, |last| last + 1);
    Ok((
        name.to_ascii_lowercase().escape_ascii().to_string(),
        value.get(start..end).unwrap_or_default().to_vec(),
    ))
}

/// `HTTP/1.1 SP 3DIGIT SP reason` (RFC 9112 §4); Squall always answers as HTTP/1.1.
fn read_status_line(line: &[u8]) -> Outcome<u16> {
    let complaint = || format!("bad status line \"{}\"", show(line));
    let rest = line.strip_prefix(b"HTTP/1.1 ").ok_or_else(complaint)?;
    let (code, reason) = rest.split_at_checked(3).ok_or_else(complaint)?;
    let reason_is_text = reason
        .strip_prefix(b" ")
        .is_some_and(|reason| reason.iter().all(|byte| *byte == b'\t' || (b' '..=b'~').contains(byte)));
    let status: u16 = str::from_utf8(code)
        .unwrap_or_default()
        .parse()
        .map_err(|_| complaint())?;
    ensure(reason_is_text && (100..600).contains(&status), complaint)?;
    Ok(status)
}

/// How the body ends, and whether the fields about it are allowed at all (RFC 9112 §6, RFC 9110 §8.6).
fn framing(response: &Response, method: &str) -> Outcome<Framing> {
    let about = |name: &str| {
        let values: Vec<_> = response.fields.iter().filter(|(other, _)| other == name).collect();
        ensure(values.len() <= 1, || format!("{name} twice in {response:?}"))?;
        Ok::<_, String>(values.first().map(|(_, value)| value.clone()))
    };
    let length = about("content-length")?;
    let coding = about("transfer-encoding")?;
    ensure(length.is_none() || coding.is_none(), || {
        format!("Content-Length with Transfer-Encoding in {response:?}")
    })?;
    if response.is_interim() || response.status == 204 {
        ensure(length.is_none() && coding.is_none(), || {
            format!("a {} must not speak of a body: {response:?}", response.status)
        })?;
        return Ok(Framing::None);
    }
    let framing = match (length, coding) {
        (Some(length), _) => {
            let text = str::from_utf8(&length).unwrap_or_default();
            let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            ensure(is_decimal, || format!("bad Content-Length in {response:?}"))?;
            Framing::Length(
                text.parse()
                    .map_err(|error| format!("bad Content-Length {text}: {error}"))?,
            )
        }
        (None, Some(coding)) => {
            ensure(coding.eq_ignore_ascii_case(b"chunked"), || {
                format!("unknown coding in {response:?}")
            })?;
            Framing::Chunked
        }
        (None, None) => Framing::Close,
    };
    let bodiless = method == "HEAD" || response.status == 304;
    Ok(if bodiless { Framing::None } else { framing })
}

fn split_at_crlf(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, after) = rest.split_at(at);
        lines.push(line);
        rest = after.get(2..).unwrap_or_default();
    }
    lines.push(rest);
    lines
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}
