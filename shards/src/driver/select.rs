//! Which driver it will be: the one asked for, or the best one the machine allows.

use super::Driver;
use crate::start::preflight;
use crate::start::preflight::{Needs, PreflightError};

/// What drives the sockets of all shards of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SelectedDriver {
    /// One io_uring a shard.
    IoUring,
    /// One epoll loop a shard; where io_uring would have been the choice, why it is not.
    Epoll(Option<PreflightError>),
}

impl Driver {
    /// Probes the host and selects the driver to run.
    ///
    /// # Errors
    ///
    /// The requested driver is unavailable, or the open-file limit is too low for any driver.
    pub(crate) fn select(self, needs: &Needs) -> Result<SelectedDriver, PreflightError> {
        preflight::check_descriptors(needs)?;
        if self == Self::Epoll {
            return Ok(SelectedDriver::Epoll(None));
        }
        match preflight::io_uring_refusal(needs) {
            None => Ok(SelectedDriver::IoUring),
            // Only `auto` may fall back: an operator who asked for io_uring must not get epoll unnoticed.
            Some(refusal) if self == Self::Auto => Ok(SelectedDriver::Epoll(Some(refusal))),
            Some(refusal) => Err(refusal),
        }
    }
}

impl SelectedDriver {
    /// The driver chosen.
    pub(crate) fn driver(&self) -> Driver {
        match self {
            Self::IoUring => Driver::IoUring,
            Self::Epoll(_) => Driver::Epoll,
        }
    }
}
