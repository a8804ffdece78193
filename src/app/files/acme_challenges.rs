//! The answers to an authority that checks who owns a host (ACME, RFC 8555 §8.3), from the files that a tool writes.

use crate::app::context::Context;
use crate::app::files::static_files::StaticFiles;
use crate::app::handler::middleware::{Middleware, Next};
use crate::error::Result;

/// Where an authority asks, over plain HTTP.
const PREFIX: &str = "/.well-known/acme-challenge/";

/// Middleware that answers the challenges of an authority with the files of a directory.
///
/// It precedes every other middleware, so that neither a login nor a redirect is in the authority's way.
pub(crate) struct AcmeChallenges {
    files: StaticFiles,
}

impl AcmeChallenges {
    /// Answers with the files of this directory, which a tool such as certbot writes.
    pub(crate) fn new(directory: &std::path::Path) -> Self {
        Self {
            files: StaticFiles::new(directory).without_index(),
        }
    }
}

impl Middleware for AcmeChallenges {
    async fn handle(&self, cx: &mut Context, next: Next<'_>) -> Result {
        let Some(token) = cx.path().strip_prefix(PREFIX).map(str::to_owned) else {
            next.run(cx).await;
            return Ok(());
        };
        self.files.serve(cx, &token).await
    }
}
