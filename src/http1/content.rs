//! The reader of a message's content, for every framing that has an end of its own.

use super::chunked::{ChunkedReader, Piece};
use super::error::ParseError;
use super::framing::Framing;
use super::limits::Limits;

/// Reads the content of one message.
#[derive(Debug, Clone)]
pub(super) enum ContentReader {
    /// This many bytes are still to come.
    Length(u64),
    Chunked(ChunkedReader),
}

impl ContentReader {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Empty => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(ChunkedReader::default()),
        }
    }

    /// A reader of no content.
    pub(super) const fn nothing() -> Self {
        Self::Length(0)
    }

    /// Advances `input` past what was consumed.
    pub(super) fn receive<'b>(&mut self, input: &mut &'b [u8], limits: &Limits) -> Result<Piece<'b>, ParseError> {
        match self {
            Self::Length(0) => Ok(Piece::End),
            Self::Length(_) if input.is_empty() => Ok(Piece::NeedData),
            Self::Length(left) => {
                let wanted = usize::try_from(*left).unwrap_or(usize::MAX);
                let (data, rest) = input.split_at(wanted.min(input.len()));
                *input = rest;
                *left = left.saturating_sub(data.len() as u64);
                Ok(Piece::Data(data))
            }
            Self::Chunked(reader) => reader.receive(input, limits),
        }
    }

    /// Returns how many bytes are still to come, if known.
    pub(super) fn remaining(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(reader) => reader.has_ended().then_some(0),
        }
    }

    /// Returns the least number of bytes still to come: all content, or the current chunk.
    pub(super) fn announced(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(reader) => reader.announced(),
        }
    }
}
