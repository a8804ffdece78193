//! Middleware: code that runs before and after handlers.
//!
//! The order, outermost first: the application's ([`Application::middleware`](crate::app::Application::middleware)), as
//! added; each group's, from the outside in; the route's own. A route's whole chain also runs for its 405 and its
//! automatic OPTIONS; if a path has several routes, the groups' middleware alone. A fallback runs within the middleware
//! of its group. The application's middleware also runs for 404.
//!
//! When `next.run(cx).await` returns, an `Err`, a panic or a 404 further in has already become an error page. That
//! page drops the fields set at or inside the failed level and keeps those set further out. So middleware that adds a
//! field to every response sets it before `next`: error pages and flushed responses then carry it too.

use std::rc::Rc;

use super::endpoint::Endpoint;
use crate::app::boxed::LocalBoxFuture;
use crate::app::catch_panic::CatchPanic;
use crate::app::context::Context;
use crate::app::request::body_state::ContentRules;
use crate::app::response::error_response::{ErrorResponder, failure};
use crate::app::response::state::Completion;
use crate::error::{HttpError, Result};
use crate::message::{HeaderValue, Headers, StatusCode, header};

/// Runs before and after the handlers of an application, a group or a route.
///
/// An async function `fn(&mut Context, Next<'_>) -> Result` is middleware too.
///
/// ```
/// use squall::prelude::*;
///
/// async fn no_sniffing(cx: &mut Context, next: Next<'_>) -> Result {
///     cx.set_header("x-content-type-options", "nosniff")?;
///     next.run(cx).await;
///     Ok(())
/// }
///
/// let application = Application::new().middleware(no_sniffing);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not middleware",
    label = "middleware implements `Middleware`, or is an async function `fn(&mut Context, Next<'_>) -> Result`"
)]
pub trait Middleware: 'static {
    /// Handles a request: calls `next.run(cx).await` in the middle, or answers without it.
    ///
    /// # Errors
    ///
    /// The error page replaces the content written so far, and middleware further out sees that page.
    fn handle(&self, cx: &mut Context, next: Next<'_>) -> impl Future<Output = Result>;

    /// Returns what is wrong with the settings of the middleware, as one sentence without a capital and a full stop.
    ///
    /// [`Application::build`](crate::app::Application::build) reports it with all other mistakes.
    fn flaw(&self) -> Option<String> {
        None
    }
}

impl<F> Middleware for F
where
    F: AsyncFn(&mut Context, Next<'_>) -> Result + 'static,
{
    fn handle(&self, cx: &mut Context, next: Next<'_>) -> impl Future<Output = Result> {
        self(cx, next)
    }
}

/// The rest of the chain: the middleware further in and the handler.
#[must_use = "the handler runs only if `run` is awaited"]
pub struct Next<'a> {
    pub(in crate::app) errors: ErrorResponder<'a>,
    pub(in crate::app) chain: &'a [Rc<dyn DynMiddleware>],
    pub(in crate::app) inner: InnerHandler<'a>,
}

impl Next<'_> {
    /// Runs the rest of the chain; the response is then in `cx`.
    ///
    /// An error or a panic has become its error page, and [`Context::error`] returns the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler and discards its content: the response becomes a 503 without content,
    /// which the middleware may replace. If the head has been sent, the connection closes, so the client can tell
    /// that the response is incomplete.
    pub fn run(self, cx: &mut Context) -> impl Future<Output = ()> {
        let Self { errors, chain, inner } = self;
        // Not an `async fn`: its arguments would lie in the memory of each connection twice.
        async move {
            // An error page keeps the fields set further out, so copy them before the inner code adds its own.
            let headers = &cx.response.head.headers;
            let headers_outside = (!headers.is_empty()).then(|| headers.clone());
            let mut guard = ResponseGuard {
                cx,
                headers_outside,
                is_done: false,
            };
            let cx = &mut *guard.cx;
            let result = match (chain.split_first(), inner) {
                (Some((outer, chain)), inner) => {
                    let next = Next { errors, chain, inner };
                    CatchPanic::new(errors.shared, outer.handle(cx, next)).await.flatten()
                }
                (None, InnerHandler::Endpoint(endpoint)) => {
                    // Set before the call, because `on_finish` also runs if the handler fails or is dropped.
                    cx.wants_on_finish = endpoint.has_on_finish();
                    CatchPanic::new(errors.shared, endpoint.call(cx)).await.flatten()
                }
                (None, InnerHandler::BuiltIn(response)) => response.write(cx),
            };
            // Each level checks the response, so middleware further out already sees the error page of an invalid one.
            if let Some(error) = failure(cx, result) {
                errors.fail(cx, error, guard.headers_outside.take().unwrap_or_default());
            }
            guard.is_done = true;
        }
    }
}

impl Next<'_> {
    /// Whether a handler of the application is innermost, and not a built-in response such as 404 and 405.
    pub(in crate::app) fn has_handler(&self) -> bool {
        matches!(self.inner, InnerHandler::Endpoint(_))
    }
}

/// The innermost part of a request's chain.
#[derive(Clone, Copy)]
pub(in crate::app) enum InnerHandler<'a> {
    Endpoint(&'a dyn Endpoint),
    BuiltIn(BuiltInResponse<'a>),
}

/// A response that needs no handler of the application.
#[derive(Clone, Copy)]
pub(in crate::app) enum BuiltInResponse<'a> {
    NotFound,
    MethodNotAllowed {
        allow: &'a HeaderValue,
    },
    Options {
        allow: &'a HeaderValue,
    },
    /// The content breaks the rules of its route.
    ContentRefused {
        rules: &'a ContentRules,
    },
}

impl BuiltInResponse<'_> {
    fn write(self, cx: &mut Context) -> Result {
        match self {
            Self::NotFound => Err(HttpError::new(StatusCode::NOT_FOUND).into()),
            Self::MethodNotAllowed { allow } => Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED)
                .with_header(header::ALLOW, allow.clone())
                .into()),
            Self::Options { allow } => cx.set_header(header::ALLOW, allow),
            Self::ContentRefused { rules } => cx.apply_content_rules(rules),
        }
    }
}

/// Replaces an unfinished response if its handler is dropped, so that half a response is never sent as complete.
struct ResponseGuard<'c> {
    cx: &'c mut Context,
    headers_outside: Option<Headers>,
    is_done: bool,
}

impl ResponseGuard<'_> {
    /// Replaces a response whose handler was dropped by a 503, or marks it broken off if its head has been sent.
    ///
    /// The response keeps the fields set further out than the handler.
    fn give_up(&mut self) {
        let (cx, headers) = (&mut *self.cx, self.headers_outside.take().unwrap_or_default());
        if cx.response.is_whole(cx.head.method()) {
            return;
        }
        if cx.response.head_sent {
            cx.response.completion = Completion::BrokenOff;
            return;
        }
        cx.response.clear(&cx.shared);
        cx.response.head.status = StatusCode::SERVICE_UNAVAILABLE;
        cx.response.head.headers = headers;
    }
}

impl Drop for ResponseGuard<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.give_up();
        }
    }
}

impl core::fmt::Debug for Next<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Next")
            .field("middleware_count", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// The middleware around a route, outermost first.
pub(in crate::app) type Chain = Vec<Rc<dyn DynMiddleware>>;

/// Middleware with its type erased.
pub(in crate::app) trait DynMiddleware {
    fn handle<'a>(&'a self, cx: &'a mut Context, next: Next<'a>) -> LocalBoxFuture<'a>;
}

impl<M: Middleware> DynMiddleware for M {
    fn handle<'a>(&'a self, cx: &'a mut Context, next: Next<'a>) -> LocalBoxFuture<'a> {
        Box::pin(async move { Middleware::handle(self, cx, next).await })
    }
}
