//! Static files.

use squall::prelude::*;

/// The flags of these routes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Flags {}

/// Adds the routes of this file.
pub(crate) fn add_to(application: Application, _flags: &Flags) -> Application {
    application
}
