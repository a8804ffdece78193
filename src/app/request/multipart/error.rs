//! What can be wrong with a form of the client.

use core::fmt;

use crate::error::{Error, HttpError};
use crate::memory::OutOfMemory;
use crate::message::StatusCode;

/// Why a form was refused.
///
/// It converts into the [`Error`] that answers with [`status`](Self::status).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultipartError {
    /// The content has another type (415).
    MediaType,
    /// The boundary in `Content-Type` is missing, repeated or malformed (400).
    Boundary,
    /// The content does not begin with the boundary (400).
    Start,
    /// Something other than the end of the line follows a boundary (400).
    Delimiter,
    /// A line above a part is malformed, or ends in a lone LF (400).
    PartHead,
    /// The fields above a part are longer than [`max_part_head_bytes`](crate::Application::max_part_head_bytes) (400).
    PartHeadTooLarge,
    /// The disposition of a part is missing, repeated, malformed, or not `form-data` (400).
    Disposition,
    /// The name of a part is missing, empty, not UTF-8, or has a control character (400).
    Name,
    /// A file name is not UTF-8, or has a control character (400).
    FileName,
    /// A part is encoded, such as in base64, which RFC 7578 §4.7 forbids (400).
    TransferEncoding,
    /// The content ends before its last boundary (400).
    Cut,
    /// There are more parts than [`max_parts`](crate::Application::max_parts) (413).
    TooManyParts,
    /// A field is longer than [`max_field_bytes`](crate::Application::max_field_bytes) (413).
    FieldTooLarge,
    /// Memory is short (503).
    OutOfMemory,
}

impl MultipartError {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyParts | Self::FieldTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::OutOfMemory => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::MediaType => "the content must be multipart/form-data",
            Self::Boundary => "could not read the form: its boundary is missing or malformed",
            Self::Start => "could not read the form: it does not begin with its boundary",
            Self::Delimiter => "could not read the form: text follows a boundary on its line",
            Self::PartHead => "could not read the form: a line above a part is malformed",
            Self::PartHeadTooLarge => "could not read the form: the fields above a part are too long",
            Self::Disposition => {
                "could not read the form: a part has no valid Content-Disposition of the type form-data"
            }
            Self::Name => "could not read the form: a part has no valid name",
            Self::FileName => "could not read the form: a file name is not UTF-8, or has a control character",
            Self::TransferEncoding => {
                "could not read the form: a part has a Content-Transfer-Encoding; send it as it is"
            }
            Self::Cut => "could not read the form: it ends before its last boundary",
            Self::TooManyParts => "the form has too many parts",
            Self::FieldTooLarge => "a field of the form is too long",
            Self::OutOfMemory => "out of memory for the form",
        }
    }
}

impl From<MultipartError> for Error {
    fn from(error: MultipartError) -> Self {
        match error {
            MultipartError::OutOfMemory => OutOfMemory.into(),
            error => HttpError::new(error.status()).with_message(error.message()).into(),
        }
    }
}

impl From<OutOfMemory> for MultipartError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl fmt::Display for MultipartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}
