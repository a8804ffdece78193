//! Selects the driver: the requested one, or the best one the host allows.

use super::Driver;
use crate::start::preflight;
use crate::start::preflight::{Needs, PreflightError};

/// The selected driver of all shards of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SelectedDriver {
    /// One io_uring per shard.
    IoUring,
    /// One epoll instance per shard; with the reason if `auto` fell back from io_uring.
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
    /// Returns the selected driver.
    pub(crate) fn driver(&self) -> Driver {
        match self {
            Self::IoUring => Driver::IoUring,
            Self::Epoll(_) => Driver::Epoll,
        }
    }
}
