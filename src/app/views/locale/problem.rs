//! Why a file of translations could not be read.

use core::fmt;
use std::borrow::Cow;

/// A mistake in a file of translations, and its line where the format has lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    line: Option<usize>,
    reason: Cow<'static, str>,
}

impl Problem {
    pub(super) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            line: None,
            reason: reason.into(),
        }
    }

    /// Adds the line, counted from one, unless the problem has one.
    pub(super) fn in_line(mut self, line: usize) -> Self {
        self.line.get_or_insert(line);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(formatter, "line {line}: ")?;
        }
        formatter.write_str(&self.reason)
    }
}
