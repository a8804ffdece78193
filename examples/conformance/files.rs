//! Static files, and their versioned URLs.

use std::path::PathBuf;

use squall::StaticFiles;
use squall::prelude::*;

/// The flags of these routes.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Flags {
    /// Serves this directory at /static
    #[arg(long, value_name = "DIR")]
    static_dir: Option<PathBuf>,
}

async fn static_url(cx: &mut Context) -> Result<String> {
    let path: String = cx.query_param("path")?;
    cx.static_url_with_version(&path).await
}

/// Adds the routes of this file.
pub(crate) fn add_to(application: Application, flags: &Flags) -> Application {
    let Some(directory) = &flags.static_dir else {
        return application;
    };
    application
        .route("/static/{*path}", StaticFiles::new(directory))
        .get("/static-url", static_url)
}
