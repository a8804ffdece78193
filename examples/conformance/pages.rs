//! Pages and their headers: templates, compression, validators, redirects, languages, errors.

use squall::prelude::*;

/// Adds the routes of this file.
pub(crate) fn add_to(application: Application) -> Application {
    application
}
