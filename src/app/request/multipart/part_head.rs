//! The fields above a part (RFC 7578 §4): its name, its file name and its media type.
//!
//! Names are read as browsers write them (HTML, "multipart/form-data encoding algorithm"): raw UTF-8 in quotes, and `%22`
//! for a quote. Other percent signs are literal, because browsers do not encode them; so is `%0D%0A`, and no name has a
//! control character. RFC 5987's `filename*` takes precedence over `filename`.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::error::MultipartError;
use super::parameters::Parameters;
use crate::message::is_token;

/// The name, the file name and the media type of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
}

impl PartHead {
    /// Reads the fields above a part, up to and including the empty line.
    pub(super) fn parse(head: &[u8]) -> Result<Self, MultipartError> {
        let (mut disposition, mut content_type) = (None, None);
        for line in lines(head) {
            let (name, value) = read_field(line).ok_or(MultipartError::PartHead)?;
            if name.eq_ignore_ascii_case(b"content-disposition") {
                if disposition.replace(value).is_some() {
                    return Err(MultipartError::Disposition);
                }
            } else if name.eq_ignore_ascii_case(b"content-type") {
                if content_type.replace(value).is_some() {
                    return Err(MultipartError::PartHead);
                }
            } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") && !is_identity(value) {
                return Err(MultipartError::TransferEncoding);
            }
        }
        let (name, file_name) = read_disposition(disposition.ok_or(MultipartError::Disposition)?)?;
        let content_type = content_type.map(|value| str::from_utf8(value).map(str::to_owned));
        Ok(Self {
            name,
            file_name,
            content_type: content_type.transpose().map_err(|_| MultipartError::PartHead)?,
        })
    }

    /// Returns the name of the field.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the file name as the client sent it, which may have directories; `None` for a field without a file.
    ///
    /// A browser sends an empty file name for an input without a file, which counts as a field without a value.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// Returns the `Content-Type` of the part, which the client chose.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Returns whether the part is a file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.file_name.is_some()
    }
}

/// The lines of a head, without their ends and without the empty line. Every line ends in CRLF.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.split_inclusive(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r\n").unwrap_or(line));
    lines.filter(|line| !line.is_empty())
}

/// Splits a line into the name and the value of a field. A folded line has no valid name.
fn read_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let value = value.get(1..)?;
    let has_control = value.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t');
    (is_token(name) && !has_control).then_some((name, value.trim_ascii()))
}

/// Whether a `Content-Transfer-Encoding` leaves the content as it is. Older clients send one of these.
fn is_identity(value: &[u8]) -> bool {
    [&b"7bit"[..], b"8bit", b"binary"]
        .iter()
        .any(|identity| value.eq_ignore_ascii_case(identity))
}

/// Reads the name and the file name of `form-data; name="…"; filename="…"`.
fn read_disposition(value: &[u8]) -> Result<(String, Option<String>), MultipartError> {
    let (kind, parameters) = Parameters::split(value);
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return Err(MultipartError::Disposition);
    }
    let (mut name, mut plain, mut extended) = (None, None, None);
    for parameter in parameters {
        let parameter = parameter.map_err(|_| MultipartError::Disposition)?;
        let slot = match parameter.name {
            known if known.eq_ignore_ascii_case(b"name") => &mut name,
            known if known.eq_ignore_ascii_case(b"filename") => &mut plain,
            known if known.eq_ignore_ascii_case(b"filename*") => &mut extended,
            _ => continue,
        };
        if slot.replace(parameter.value).is_some() {
            return Err(MultipartError::Disposition);
        }
    }
    let name = name.as_deref().and_then(browser_text).filter(|name| !name.is_empty());
    let name = name.ok_or(MultipartError::Name)?;
    let plain = plain.map(|value| browser_text(&value).ok_or(MultipartError::FileName));
    let extended = extended.map(|value| extended_text(&value).ok_or(MultipartError::FileName));
    let file_name = extended.or(plain).transpose()?;
    Ok((name, file_name.filter(|file_name| !file_name.is_empty())))
}

/// Decodes a name as browsers encode it.
fn browser_text(value: &[u8]) -> Option<String> {
    printable(str::from_utf8(value).ok()?.replace("%22", "\""))
}

/// Decodes `charset'language'percent-encoded` (RFC 5987 §3.2), in UTF-8 or ISO 8859-1.
fn extended_text(value: &[u8]) -> Option<String> {
    let mut pieces = value.splitn(3, |&byte| byte == b'\'');
    let (charset, _language, text) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let bytes: Cow<'_, [u8]> = percent_decode(text).into();
    if charset.eq_ignore_ascii_case(b"utf-8") {
        printable(str::from_utf8(&bytes).ok()?.to_owned())
    } else if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        printable(bytes.iter().copied().map(char::from).collect())
    } else {
        None
    }
}

fn printable(text: String) -> Option<String> {
    (!text.chars().any(char::is_control)).then_some(text)
}
