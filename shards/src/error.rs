//! Why shards could not start or continue.

use std::fmt;

use crate::shard::id::ShardId;
use crate::start::preflight::PreflightError;

/// The error of a shard's main function.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The shards could not start, or one of them ended with an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum LaunchError {
    /// A setting contradicts another or the host; the sentence names it and the remedy.
    Settings(String),
    /// The host lacks something that every shard needs.
    Preflight(PreflightError),
    /// A shard could not be set up.
    Start {
        /// The shard.
        shard: ShardId,
        /// The reason and the remedy.
        reason: String,
    },
    /// A shard's main function returned an error; the other shards were stopped.
    Main {
        /// The shard.
        shard: ShardId,
        /// The error.
        error: BoxError,
    },
    /// A shard's thread panicked.
    Panicked {
        /// The shard.
        shard: ShardId,
    },
    /// A shard did not stop in time, because a task computes or blocks; its thread was abandoned.
    Overdue {
        /// The shard.
        shard: ShardId,
        /// What the shard runs: the [name](crate::Shard::name_work) of the work, or the place in the source that started it.
        work: Option<String>,
    },
}

impl fmt::Display for LaunchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(sentence) => formatter.write_str(sentence),
            Self::Preflight(error) => error.fmt(formatter),
            Self::Start { shard, reason } => write!(formatter, "{shard} could not start: {reason}"),
            Self::Main { shard, error } => write!(formatter, "{shard} ended with an error: {error}"),
            Self::Panicked { shard } => write!(formatter, "{shard} panicked"),
            Self::Overdue { shard, work } => {
                let work = work.as_deref().unwrap_or("unnamed work");
                write!(
                    formatter,
                    "{shard} did not stop: still running {work}, which never yielded; move it to spawn_blocking"
                )
            }
        }
    }
}

/// Without a source: the message already contains the inner error, and a report would show it twice.
impl std::error::Error for LaunchError {}
