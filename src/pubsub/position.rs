//! Where in a topic's history a message stands: `epoch:sequence`.
//!
//! The sequence counts a topic's messages from 1 and never skips. The epoch says which count is meant: when the count was lost (the process
//! began anew, a quiet topic was forgotten) a new epoch begins, and a position of the old one is answered with a gap rather than with
//! messages of the wrong count. Clients get it as text, in a message or as an SSE event's `id`, and give it back to resume.

use core::fmt;
use core::str::FromStr;

/// A place in a topic's history, as given to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which count of the topic's messages is meant.
    pub epoch: u64,
    /// The message's number in it, from 1; 0 is the place before the first.
    pub sequence: u64,
}

/// Where in a topic's history a subscriber begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// Behind the last message it has.
    After(Position),
    /// With so many of the last messages, or as many as are kept: never a gap.
    Last(usize),
}

impl Position {
    /// The place of who cannot say where it stands, because what it gave back is no position, for instance: no topic's count has the epoch 0, so
    /// it is answered with a gap.
    pub const UNKNOWN: Self = Self { epoch: 0, sequence: 0 };

    /// Longest text of a position in bytes: two numbers of twenty digits and a colon.
    pub const TEXT_BYTES_MAX: usize = 41;

    /// The place of the message before this one.
    #[must_use]
    pub fn before(self) -> Self {
        Self {
            sequence: self.sequence.saturating_sub(1),
            ..self
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.epoch, self.sequence)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    /// Reads what `Display` writes and nothing else: two decimal numbers without signs, blanks or leading zeros, so that a position
    /// has one spelling.
    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (epoch, sequence) = text.split_once(':').ok_or(InvalidPosition)?;
        Ok(Self {
            epoch: number(epoch)?,
            sequence: number(sequence)?,
        })
    }
}

fn number(text: &str) -> Result<u64, InvalidPosition> {
    let is_canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if !is_canonical {
        return Err(InvalidPosition);
    }
    text.parse().map_err(|_| InvalidPosition)
}

/// A text is not `epoch:sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidPosition;

impl fmt::Display for InvalidPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a position is two decimal numbers parted by a colon")
    }
}

impl core::error::Error for InvalidPosition {}
