//! Which driver it will be: the one asked for, or the best one the machine allows.

use super::Driver;
use crate::preflight::{self, Needs, PreflightError};

/// What drives the sockets of all shards of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// One io_uring a shard.
    IoUring,
    /// One epoll loop a shard; where io_uring would have been the choice, why it is not.
    Epoll(Option<PreflightError>),
}

impl Choice {
    /// Looks at the machine and decides.
    ///
    /// # Errors
    ///
    /// What the driver asked for lacks, or what any driver would: open files.
    pub(crate) fn make(asked: Driver, needs: &Needs) -> Result<Self, PreflightError> {
        preflight::check_descriptors(needs)?;
        if asked == Driver::Epoll {
            return Ok(Self::Epoll(None));
        }
        match preflight::io_uring_refusal(needs) {
            None => Ok(Self::IoUring),
            Some(refusal) if asked == Driver::Auto => Ok(Self::Epoll(Some(refusal))),
            Some(refusal) => Err(refusal),
        }
    }

    /// The driver chosen.
    pub(crate) fn driver(&self) -> Driver {
        match self {
            Self::IoUring => Driver::IoUring,
            Self::Epoll(_) => Driver::Epoll,
        }
    }
}
