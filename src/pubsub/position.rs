//! Positions in a topic's history: `epoch:sequence`.
//!
//! The sequence counts a topic's messages from 1 and never skips. The epoch identifies the numbering. A restart, or the
//! removal of an idle topic, begins a new epoch. A position of an old epoch yields a gap instead of the wrong messages.
//!
//! Clients receive positions as text, in a message or as the `id` of a server-sent event, and send one back to resume.

use crate::message::parse_digits;
use core::fmt;
use core::str::FromStr;

/// A position in a topic's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The numbering the sequence belongs to.
    pub epoch: u64,
    /// The message's number, from 1; 0 is the position before the first message.
    pub sequence: u64,
}

/// Where in a topic's history a subscriber begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// Behind this position.
    After(Position),
    /// With this many of the last messages, or as many as are retained; never yields a gap.
    Last(usize),
}

impl Position {
    /// The position to use when a client's resume position cannot be parsed; it always yields a gap, because no topic
    /// has epoch 0.
    pub const UNKNOWN: Self = Self { epoch: 0, sequence: 0 };

    /// Longest text of a position in bytes: two numbers of twenty digits and a colon.
    pub const TEXT_BYTES_MAX: usize = 41;

    /// Returns the position of the message before this one.
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

    /// Reads exactly what `Display` writes: two decimal numbers without signs, blanks or leading zeros, so that each
    /// position has one spelling.
    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (epoch, sequence) = text.split_once(':').ok_or(InvalidPosition)?;
        Ok(Self {
            epoch: number(epoch)?,
            sequence: number(sequence)?,
        })
    }
}

fn number(text: &str) -> Result<u64, InvalidPosition> {
    let is_canonical = text == "0" || !text.starts_with('0');
    parse_digits(text.as_bytes())
        .filter(|_| is_canonical)
        .ok_or(InvalidPosition)
}

/// A text that is not `epoch:sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidPosition;

impl fmt::Display for InvalidPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the position is not two decimal numbers separated by a colon")
    }
}

impl core::error::Error for InvalidPosition {}
