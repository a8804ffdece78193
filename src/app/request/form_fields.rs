//! The fields of a multipart form as an urlencoded form, which the same decoder reads.

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::multipart::{Boundary, Event, MultipartError, Parser};
use crate::app::limits::Limits;
use crate::memory::{self, OutOfMemory};

/// Reads a whole multipart form and encodes its fields anew, in order; files are ignored.
///
/// # Errors
///
/// As [`Parser::receive`] and [`Parser::finish`].
pub(super) fn url_encoded(boundary: &Boundary, limits: Limits, mut form: Bytes) -> Result<Bytes, MultipartError> {
    let mut parser = Parser::new(boundary, limits);
    let mut encoded = Vec::new();
    // The name and the value of the field that is being read.
    let mut field: Option<(String, Vec<u8>)> = None;
    while let Some(event) = parser.receive(&mut form)? {
        match event {
            Event::Part(head) => field = (!head.is_file()).then(|| (head.name().to_owned(), Vec::new())),
            Event::Data(data) => {
                if let Some((_, value)) = &mut field {
                    memory::append(value, &data)?;
                }
            }
            Event::PartEnd => {
                if let Some((name, value)) = field.take() {
                    append_pair(&mut encoded, &name, &value)?;
                }
            }
            Event::End => {}
        }
    }
    parser.finish()?;
    Ok(Bytes::from(encoded))
}

/// Appends a pair to an urlencoded form.
pub(super) fn append_pair(encoded: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), OutOfMemory> {
    let separator = if encoded.is_empty() { "" } else { "&" };
    let name = percent_encode(name.as_bytes(), NON_ALPHANUMERIC);
    let value = percent_encode(value, NON_ALPHANUMERIC);
    for piece in [separator].into_iter().chain(name).chain(["="]).chain(value) {
        memory::append(encoded, piece.as_bytes())?;
    }
    Ok(())
}
