//! The error that replaces the output of a panicked task or closure.

use std::fmt;

use crate::shard::id::ShardId;

/// A task or closure panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPanicked {
    message: String,
}

impl TaskPanicked {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    /// Creates the error from the panic's text, if it had any.
    pub(crate) fn with_text(text: Option<String>) -> Self {
        Self::new(text.unwrap_or_else(|| "no message".to_owned()))
    }

    /// Logs the panic of a task of `shard`.
    pub(super) fn report(&self, shard: ShardId) {
        tracing::error!(%shard, "a task {self}; it was ended and the shard continues");
    }
}

impl fmt::Display for TaskPanicked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "panicked: {}", self.message)
    }
}

impl std::error::Error for TaskPanicked {}
