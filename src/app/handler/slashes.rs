//! Middleware that gives every path one form: without a slash at its end, or with one (Tornado's `removeslash` and
//! `addslash`).

use crate::app::context::Context;
use crate::app::handler::middleware::Next;
use crate::error::{HttpError, Result};
use crate::message::{Method, StatusCode};

/// Middleware that redirects a GET or HEAD of `/path/` to `/path` (Tornado's `removeslash`).
///
/// The redirection is permanent and keeps the query. Other methods get 404. The path `/` stays.
///
/// ```
/// use squall::middleware::remove_slash;
/// use squall::prelude::*;
///
/// let application = Application::new()
///     .middleware(remove_slash)
///     .get("/about", async |_: &mut Context| "About us");
/// ```
///
/// # Errors
///
/// 404 for a method other than GET and HEAD, if the path ends with a slash.
///
/// # Cancel safety
///
/// As [`Next::run`].
pub async fn remove_slash(cx: &mut Context, next: Next<'_>) -> Result {
    let path = cx.path();
    let trimmed = path.trim_end_matches('/');
    if trimmed.len() == path.len() || trimmed.is_empty() {
        next.run(cx).await;
        return Ok(());
    }
    let trimmed = trimmed.to_owned();
    redirect_to(cx, &trimmed)
}

/// Middleware that redirects a GET or HEAD of `/path` to `/path/` (Tornado's `addslash`).
///
/// The redirection is permanent and keeps the query. Other methods get 404.
///
/// # Errors
///
/// 404 for a method other than GET and HEAD, if the path lacks the slash.
///
/// # Cancel safety
///
/// As [`Next::run`].
pub async fn add_slash(cx: &mut Context, next: Next<'_>) -> Result {
    // `OPTIONS *` has no path.
    if cx.path().ends_with('/') || !cx.path().starts_with('/') {
        next.run(cx).await;
        return Ok(());
    }
    let path = format!("{}/", cx.path());
    redirect_to(cx, &path)
}

/// Redirects to another path of this host.
fn redirect_to(cx: &mut Context, path: &str) -> Result {
    if !matches!(*cx.method(), Method::GET | Method::HEAD) {
        return Err(HttpError::new(StatusCode::NOT_FOUND).into());
    }
    // A path of two slashes would name a host.
    let path = path.trim_start_matches('/');
    let query = cx.query().map(|query| format!("?{query}")).unwrap_or_default();
    cx.redirect(&format!("/{path}{query}"))?;
    cx.set_status(StatusCode::MOVED_PERMANENTLY);
    Ok(())
}
