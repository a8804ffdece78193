//! Errors that a shard meets before it serves, apart from those of a shard that serves.
//!
//! Every shard sets the same application up, so such an error is not one of a certain shard.

use std::fmt;

use squall_shards::LaunchError;

use crate::app::BuildError;
use crate::error::Error;

/// Makes the error of a run from that of its shards.
pub(super) fn shards_error(error: LaunchError) -> Error {
    let LaunchError::Main { shard, error } = error else {
        return error.into();
    };
    let error = Error::new(error);
    if error.downcast_ref::<BuildError>().is_some() || error.downcast_ref::<SetupError>().is_some() {
        // Every shard builds the same application, so the number of one explains nothing.
        return error;
    }
    let error = error.into();
    LaunchError::Main { shard, error }.into()
}

/// A shard could not set the application up, and no other shard can.
#[derive(Debug)]
pub(super) struct SetupError(pub(super) Error);

impl fmt::Display for SetupError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for SetupError {}
