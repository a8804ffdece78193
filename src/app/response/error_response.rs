//! Turns an error of the application into its response, or into the end of the connection, and logs it.

use std::rc::Rc;

use super::debug_page::Details;
use super::error_page;
use super::state::Completion;
use crate::app::catch_panic::catch_panic;
use crate::app::context::Context;
use crate::app::shared::Shared;
use crate::error::{Error, Result};
use crate::message::{Headers, ReasonPhrase, StatusCode, has_no_content, header};

/// How many bytes of a path a log line shows.
const LOGGED_PATH_BYTES_MAX: usize = 256;

/// Writes the page of an error.
pub(in crate::app) type ErrorPage = dyn Fn(&mut Context, &Error) -> Result;

/// The error pages of an application.
pub(in crate::app) trait ErrorPages {
    /// The application's own page for an error of this request.
    fn error_page(&self, cx: &Context, status: StatusCode) -> Option<Rc<ErrorPage>>;
}

/// Makes the responses of errors to one request, by a page of the application or by the default one.
#[derive(Clone, Copy)]
pub(in crate::app) struct ErrorResponder<'a> {
    pub(in crate::app) shared: &'a Shared,
    /// Asked for a page only when a request fails, so that other requests pay nothing for it.
    pub(in crate::app) pages: &'a dyn ErrorPages,
}

impl ErrorResponder<'_> {
    /// Turns an error into its response, or closes the connection if the head has been sent.
    ///
    /// This is the one place that logs the error. The response keeps `headers`, the fields set further out than the
    /// failed code.
    pub(in crate::app) fn fail(self, cx: &mut Context, error: Error, headers: Headers) {
        if let Err(panic) = catch_panic(self.shared, || log(cx, &error)) {
            tracing::error!("formatting an error for the log failed: {panic}");
        }
        if cx.response.is_whole(cx.head.method()) {
            // The peer has the complete response, so the error changes nothing for it.
        } else if error.is_peer_gone() {
            cx.response.abandon();
        } else if cx.response.head_sent {
            cx.response.completion = Completion::BrokenOff;
        } else {
            self.write_error(cx, &error, headers);
        }
        // A middleware that fails after the handler replaces the handler's error.
        if let Some(earlier) = cx.response.replace_error(error) {
            self.shared.discard(earlier);
        }
    }

    /// Writes the page of an error for a request that no handler gets; returns whether it can be sent.
    pub(in crate::app) fn refuse(self, cx: &mut Context, error: Error) -> bool {
        self.write_error(cx, &error, Headers::new());
        if cx.response.has_stream() {
            tracing::error!("the error page of a refused request is a stream; sent the default page");
            begin_error(cx, &error, Headers::new());
            error_page::write(cx, &error, None);
        }
        let is_written = cx.response.check(cx.head.method()).is_ok();
        if let Some(earlier) = cx.response.replace_error(error) {
            self.shared.discard(earlier);
        }
        is_written
    }

    /// Replaces the response by the page of an error; if the application's own page fails, by the default one.
    fn write_error(self, cx: &mut Context, error: &Error, headers: Headers) {
        if has_no_content(error.status()) {
            return begin_error(cx, error, headers);
        }
        let details = Details::of(cx, error);
        // A developer wants to see the cause of a failure, and not the page that hides it.
        let hides_page = details.is_some() && error.status().is_server_error();
        if !hides_page && let Some(page) = self.pages.error_page(cx, error.status()) {
            begin_error(cx, error, headers.clone());
            let written = catch_panic(self.shared, || page(cx, error)).flatten();
            match failure(cx, written) {
                None => return,
                // The closure owns the fault, so formatting and dropping it happen inside the guard.
                Some(fault) => {
                    if let Err(panic) =
                        catch_panic(self.shared, move || tracing::error!("the error page failed: {fault:?}"))
                    {
                        tracing::error!("the error page failed, and formatting its error failed too: {panic}");
                    }
                }
            }
        }
        begin_error(cx, error, headers);
        error_page::write(cx, error, details.as_ref());
    }
}

/// Returns why the response cannot be sent as a handler or an error page left it.
#[inline]
pub(in crate::app) fn failure(cx: &mut Context, result: Result) -> Option<Error> {
    match result.and_then(|()| cx.response.check(cx.head.method())) {
        Ok(()) => None,
        Err(error) => failure_unless_finish(cx, error),
    }
}

/// With [`Finish`](crate::Finish) the response is sent as written.
#[cold]
fn failure_unless_finish(cx: &mut Context, error: Error) -> Option<Error> {
    if error.is_finish() {
        cx.response.check(cx.head.method()).err()
    } else {
        Some(error)
    }
}

/// Discards the content and starts the response of an error, with its status and its fields.
///
/// Fields from further out stay, except those that describe content. A 405 always carries its route's `Allow`, even
/// if a handler made it (RFC 9110 §15.5.6).
fn begin_error(cx: &mut Context, error: &Error, headers: Headers) {
    let response = &mut cx.response;
    response.clear(&cx.shared);
    response.head.status = error.status();
    response.head.reason = error.reason().and_then(ReasonPhrase::new);
    response.head.headers = headers;
    for describes_content in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
        response.head.headers.remove(&describes_content);
    }
    for (name, value) in error.headers().iter() {
        response.head.headers.add(name.clone(), value.clone());
    }
    if error.status() == StatusCode::METHOD_NOT_ALLOWED
        && !response.head.headers.contains(&header::ALLOW)
        && let Some(allow) = cx.route.and_then(|index| cx.shared.allow(index))
    {
        response.head.headers.add(header::ALLOW, allow.clone());
    }
}

/// Logs an error: server errors at level error, all others at debug.
///
/// The path is escaped and cut, so a client cannot forge a log line.
fn log(cx: &Context, error: &Error) {
    let (method, status) = (cx.head.method(), error.status());
    let path = cx.head.path();
    let path = path.get(..LOGGED_PATH_BYTES_MAX).unwrap_or(path);
    if error.is_peer_gone() {
        tracing::debug!(%method, ?path, "the peer is gone");
    } else if status.is_server_error() {
        tracing::error!(%method, ?path, status = status.as_u16(), "{error:?}");
    } else {
        tracing::debug!(%method, ?path, status = status.as_u16(), "{error:?}");
    }
}
