//! Selects the driver: the requested one, or the best one the host allows.

use super::preflight;
use super::preflight::{Needs, PreflightError};
use crate::driver::Driver;

/// The selected driver of all shards of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SelectedDriver {
    /// One io_uring per shard.
    IoUring,
    /// One epoll instance per shard; with the reason if `auto` fell back from io_uring.
    Epoll(Option<PreflightError>),
}

impl SelectedDriver {
    /// Probes the host and selects the driver to run: the requested one, or the best for [`Driver::Auto`].
    ///
    /// # Errors
    ///
    /// The requested driver is unavailable, or the open-file limit is too low for any driver.
    pub(crate) fn select(requested: Driver, needs: &Needs) -> Result<Self, PreflightError> {
        preflight::check_descriptors(needs)?;
        if requested == Driver::Epoll {
            return Ok(Self::Epoll(None));
        }
        match preflight::io_uring_refusal(needs) {
            None => Ok(Self::IoUring),
            // Only `auto` may fall back: an operator who asked for io_uring must not get epoll unnoticed.
            Some(refusal) if requested == Driver::Auto => Ok(Self::Epoll(Some(refusal))),
            Some(refusal) => Err(refusal),
        }
    }

    /// Returns the selected driver.
    pub(crate) fn driver(&self) -> Driver {
        match self {
            Self::IoUring => Driver::IoUring,
            Self::Epoll(_) => Driver::Epoll,
        }
    }
}
