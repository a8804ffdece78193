//! Middleware: advice around handlers.
//!
//! One order, outermost first: what [`Application::middleware`](super::Application::middleware) was given, as added; then what each
//! group from the outside in was given; then what the route itself was given. The application's middleware also runs for 404, and
//! a route's whole chain for its 405 and its automatic OPTIONS.
//!
//! Every error is a response by the time middleware sees it: whatever runs inside, be it an `Err`, a panic or a 404, has become an
//! error page when `next.run(cx).await` returns. An error page forgets the fields that were set where it came from, and keeps those
//! set further out: middleware that adds a field to every response sets it before `next`, and it is on error pages and on flushed
//! responses too.

use std::rc::Rc;

use super::catch_panic::CatchPanic;
use super::context::Context;
use super::dispatch::{App, InnerHandler};
use super::handler::LocalBoxFuture;
use crate::error::Result;
use crate::message::Headers;

/// Advice around the handlers of an application, a group or a route.
///
/// An async function `fn(&mut Context, Next<'_>) -> Result` is one too.
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
    /// Handles a request: does its part before and after `next.run(cx).await`, or answers itself and never calls `next`.
    ///
    /// # Errors
    ///
    /// An error becomes the error page in place of what was written, and middleware further out sees that page.
    fn handle(&self, cx: &mut Context, next: Next<'_>) -> impl Future<Output = Result>;
}

impl<F> Middleware for F
where
    F: AsyncFn(&mut Context, Next<'_>) -> Result + 'static,
{
    fn handle(&self, cx: &mut Context, next: Next<'_>) -> impl Future<Output = Result> {
        self(cx, next)
    }
}

/// What remains to be run: the middleware further in, and the handler.
#[must_use = "the handler runs only if `run` is awaited"]
pub struct Next<'a> {
    pub(super) app: &'a App,
    pub(super) chain: &'a [Rc<dyn DynMiddleware>],
    pub(super) inner: InnerHandler<'a>,
}

impl Next<'_> {
    /// Runs it. The response is then in `cx`, whatever happened: an error or a panic has become its error page, and
    /// [`Context::error`] tells which.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the handler where it stands, and what that has written: the response becomes a 503 without content, which the middleware
    /// may replace. Where the head has been sent, the connection is cut, so that the client sees the response break off.
    pub async fn run(self, cx: &mut Context) {
        let Self { app, chain, inner } = self;
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
                let next = Next { app, chain, inner };
                CatchPanic::new(app, outer.handle(cx, next)).await.flatten()
            }
            (None, InnerHandler::Endpoint(endpoint)) => {
                cx.wants_on_finish = endpoint.has_on_finish();
                CatchPanic::new(app, endpoint.call(cx)).await.flatten()
            }
            (None, InnerHandler::BuiltIn(response)) => response.write(cx),
        };
        if let Err(error) = result.and_then(|()| cx.response.check(cx.head.method())) {
            app.fail(cx, error, guard.headers_outside.take().unwrap_or_default());
        }
        guard.is_done = true;
    }
}

/// A response under way. If its handler is dropped, half of a response must not be taken for the whole.
struct ResponseGuard<'c> {
    cx: &'c mut Context,
    headers_outside: Option<Headers>,
    is_done: bool,
}

impl Drop for ResponseGuard<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.cx.give_up(self.headers_outside.take().unwrap_or_default());
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
pub(super) type Chain = Vec<Rc<dyn DynMiddleware>>;

/// Middleware whose type is erased.
pub(super) trait DynMiddleware {
    fn handle<'a>(&'a self, cx: &'a mut Context, next: Next<'a>) -> LocalBoxFuture<'a>;
}

impl<M: Middleware> DynMiddleware for M {
    fn handle<'a>(&'a self, cx: &'a mut Context, next: Next<'a>) -> LocalBoxFuture<'a> {
        Box::pin(async move { Middleware::handle(self, cx, next).await })
    }
}
