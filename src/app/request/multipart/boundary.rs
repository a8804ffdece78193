//! The boundary between the parts, which the sender chooses and names in `Content-Type` (RFC 2046 §5.1.1).

use bytes::Bytes;

use super::error::MultipartError;
use super::parameters::Parameters;
use crate::message::ByteSet;

/// The longest boundary in bytes, by RFC 2046 §5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

/// ```text
/// bchars := bcharsnospace / " "                                          ; RFC 2046 §5.1.1
/// bcharsnospace := DIGIT / ALPHA / "'" / "(" / ")" / "+" / "_" / "," / "-" / "." / "/" / ":" / "=" / "?"
/// ```
static BOUNDARY_BYTES: ByteSet =
    ByteSet::of(b" '()+_,-./:=?0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/// The boundary of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    /// CRLF, two hyphens and the boundary.
    delimiter: Bytes,
}

impl Boundary {
    /// Reads the boundary from the value of a `Content-Type`.
    ///
    /// # Errors
    ///
    /// [`MultipartError::MediaType`] for a type other than `multipart/form-data`; [`MultipartError::Boundary`] if the
    /// type has no boundary, two boundaries, or a malformed one.
    pub fn from_content_type(value: &[u8]) -> Result<Self, MultipartError> {
        let (media_type, parameters) = Parameters::split(value);
        if !media_type.eq_ignore_ascii_case(b"multipart/form-data") {
            return Err(MultipartError::MediaType);
        }
        let mut boundary = None;
        for parameter in parameters {
            let parameter = parameter.map_err(|_| MultipartError::Boundary)?;
            if parameter.name.eq_ignore_ascii_case(b"boundary") && boundary.replace(parameter.value).is_some() {
                return Err(MultipartError::Boundary);
            }
        }
        let boundary = boundary.ok_or(MultipartError::Boundary)?;
        let is_valid = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
            && BOUNDARY_BYTES.contains_all(&boundary)
            && !boundary.ends_with(b" ");
        if !is_valid {
            return Err(MultipartError::Boundary);
        }
        let delimiter = Bytes::from([b"\r\n--", &*boundary].concat());
        Ok(Self { delimiter })
    }

    /// CRLF, two hyphens and the boundary. A CR stands at the start and nowhere else.
    pub(super) fn delimiter(&self) -> &Bytes {
        &self.delimiter
    }
}
