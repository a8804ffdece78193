//! Why shards did not start, or did not go on.

use std::fmt;

use crate::shard::shard::ShardId;
use crate::start::preflight::PreflightError;

/// Any error, from a shard's main function.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The shards could not be started, or one of them ended with an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum LaunchError {
    /// The settings contradict themselves or the machine; the sentence says which and what to do.
    Settings(String),
    /// The machine lacks something every shard needs.
    Preflight(PreflightError),
    /// One shard could not be set up.
    Start {
        /// Which.
        shard: ShardId,
        /// Why, and what to do.
        reason: String,
    },
    /// A shard's main function ended with an error. The others were told to stop.
    Main {
        /// Which.
        shard: ShardId,
        /// The error.
        error: BoxError,
    },
    /// A shard's thread ended by a panic.
    Panicked {
        /// Which.
        shard: ShardId,
    },
    /// A shard did not hear that it is to stop, because a task computes or blocks. It is left behind.
    Overdue {
        /// Which.
        shard: ShardId,
        /// What it works on, if that has a name ([`Shard::name_work`](crate::Shard::name_work)).
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
            Self::Panicked { shard } => write!(formatter, "{shard} ended by a panic"),
            Self::Overdue { shard, work } => {
                let work = work.as_deref().unwrap_or("something without a name");
                write!(
                    formatter,
                    "{shard} was to stop and works on {work} still, without a look at anything else; move such work to spawn_blocking"
                )
            }
        }
    }
}

/// Without a source: the sentence says what the error inside says, and a report would show it twice.
impl std::error::Error for LaunchError {}
