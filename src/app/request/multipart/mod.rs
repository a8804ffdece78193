//! `multipart/form-data` (RFC 7578, RFC 2046 §5.1): forms with files.
//!
//! - `boundary` reads the boundary of a `Content-Type`; `parameters` reads the parameters of any such value.
//! - `parser` is the machine: content comes in, parts come out.
//! - `part_head` reads the fields above a part: its name, its file name and its type.
//! - `error` has every fault of the client, with its status.
//!
//! The parser is stricter than RFC 2046 where two readers could disagree:
//!
//! - A line ends in CRLF, and text before the first boundary is malformed.
//! - Behind a boundary, only blanks and the end of the line may follow.
//! - A part has one `Content-Disposition`, with the type `form-data` and a name.
//!
//! Bytes behind the last boundary are ignored, as the RFC demands.

mod boundary;
mod error;
mod parameters;
mod parser;
mod part_head;
#[cfg(test)]
mod tests;

pub use boundary::Boundary;
pub use error::MultipartError;
pub use parser::{Event, Parser};
pub use part_head::PartHead;
