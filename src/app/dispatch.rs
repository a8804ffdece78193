//! From a request to its response: selects the route and the handler, and runs them.
//!
//! Invariant: after [`App::respond`] there is a response to send, or the connection must close.

use core::fmt;
use core::pin::Pin;
use std::rc::Rc;

use super::catch_panic::CatchPanic;
use super::context::Context;
use super::exchange::Exchange;
use super::handler::middleware::{BuiltInResponse, Chain, InnerHandler, Next};
use super::response::error_response::{ErrorPage, ErrorPages, ErrorResponder};
use super::routing::router::{CompiledRoute, Router, Served};
use super::shared::Shared;
use crate::error::Error;
use crate::message::{Method, RequestHead, StatusCode, TargetForm};

/// What serves a request.
struct Found<'a> {
    inner: InnerHandler<'a>,
    chain: &'a Chain,
}

/// A built application, which serves the requests of one shard.
pub struct App {
    pub(super) shared: Rc<Shared>,
    pub(super) router: Router,
    /// The application's own middleware, for requests that match no route.
    pub(super) chain: Chain,
    pub(super) automatic_options: bool,
}

impl App {
    /// Returns what requests and WebSockets use of the application.
    #[must_use]
    pub fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// Returns whether any route opens WebSockets.
    #[must_use]
    pub fn has_websockets(&self) -> bool {
        self.router.has_websockets()
    }

    /// Returns the pattern of the route that a request matches, for a log that names it before the handler runs.
    #[must_use]
    pub fn route_of(&self, head: &RequestHead) -> Option<&str> {
        let route = self.router.find(head, &mut Vec::new())?;
        Some(self.shared.pattern(route)?.text())
    }

    /// Makes the response to the request in `exchange`; [`Exchange::outcome`] then returns what to send.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler. The exchange must then be reset.
    #[expect(
        clippy::inline_always,
        reason = "the second caller, for HTTP/2, must not cost HTTP/1.1 a call"
    )]
    #[inline(always)]
    pub fn respond<'a>(&'a self, exchange: &'a mut Exchange) -> impl Future<Output = ()> + 'a {
        let cx = &mut exchange.context;
        let Found { inner, chain } = self.find_handler(cx);
        self.shared.enter_route(cx.route);
        let errors = self.errors();
        Next { errors, chain, inner }.run(cx)
    }

    /// Makes the response to a request that no handler gets, such as a malformed one, with the error page.
    ///
    /// Middleware does not run. The page is asked once and may not answer with a stream, so it cannot hold a refused
    /// connection. Returns whether there is a response to send.
    #[must_use]
    pub fn refuse(&self, exchange: &mut Exchange, error: Error) -> bool {
        let cx = &mut exchange.context;
        // The route decides which page answers.
        self.find_handler(cx);
        self.shared.enter_route(None);
        self.errors().refuse(cx, error)
    }

    /// Returns the future of the handler's `on_finish`, if the handler has one.
    ///
    /// The driver calls this after the response has been passed to the kernel or given up. Before, it reports how the
    /// response ended with [`Exchange::conclude`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler.
    pub fn finished<'a>(&'a self, exchange: &'a mut Exchange) -> Option<Pin<Box<impl Future<Output = ()>>>> {
        let cx = &mut exchange.context;
        if !core::mem::take(&mut cx.wants_on_finish) {
            return None;
        }
        let route = self.router.route(cx.route?)?;
        let served = route.endpoint(cx.head.method())?;
        let on_finish = CatchPanic::new(&*self.shared, served.endpoint.on_finish(cx));
        Some(Box::pin(async move {
            if let Err(error) = on_finish.await {
                tracing::error!("on_finish failed: {error}");
            }
        }))
    }

    fn errors(&self) -> ErrorResponder<'_> {
        ErrorResponder {
            shared: &self.shared,
            pages: self,
        }
    }

    /// Finds the handler of a request and the middleware around it, and records the route that matched.
    #[expect(
        clippy::inline_always,
        reason = "the second caller, for refused requests, must not cost all others a call"
    )]
    #[inline(always)]
    fn find_handler(&self, cx: &mut Context) -> Found<'_> {
        let head = &cx.head;
        // `OPTIONS *` concerns the server and not a path, so it lists the methods of all routes (RFC 9110 §9.3.7).
        if head.target_form() == TargetForm::Asterisk && *head.method() == Method::OPTIONS {
            let allow = self.router.allow();
            return Found {
                inner: InnerHandler::BuiltIn(BuiltInResponse::Options { allow }),
                chain: &self.chain,
            };
        }
        cx.route = self.router.find(head, &mut cx.params);
        match cx.route.and_then(|index| self.router.route(index)) {
            Some(route) => self.found(route, cx),
            None => self.find_fallback(cx),
        }
    }

    /// Finds what answers a request that matches no route.
    #[cold]
    fn find_fallback(&self, cx: &mut Context) -> Found<'_> {
        cx.params.clear();
        cx.route = self.router.fallback(&cx.head);
        match cx.route.and_then(|index| self.router.route(index)) {
            Some(fallback) => self.found(fallback, cx),
            None => Found {
                inner: InnerHandler::BuiltIn(BuiltInResponse::NotFound),
                chain: &self.chain,
            },
        }
    }

    /// Selects what a route does for a method.
    fn found<'a>(&self, route: &'a CompiledRoute, cx: &mut Context) -> Found<'a> {
        let method = cx.head.method();
        // The method is CONNECT then, which only the routes of WebSockets serve.
        let is_connect = cx.head.is_extended_connect();
        let served = route.endpoint(method);
        if let Some(Served {
            endpoint,
            chain,
            content,
            skips_xsrf,
        }) = served.filter(|served| !is_connect || served.endpoint.opens_websockets())
        {
            cx.skips_xsrf = *skips_xsrf;
            let inner = match content {
                Some(rules) if cx.apply_content_rules(rules).is_err() => {
                    InnerHandler::BuiltIn(BuiltInResponse::ContentRefused { rules })
                }
                _ => InnerHandler::Endpoint(endpoint.as_ref()),
            };
            return Found { inner, chain };
        }
        let allow = &route.allow;
        let response = if *method == Method::OPTIONS && self.automatic_options {
            BuiltInResponse::Options { allow }
        } else {
            BuiltInResponse::MethodNotAllowed { allow }
        };
        Found {
            inner: InnerHandler::BuiltIn(response),
            chain: &route.chain,
        }
    }
}

impl ErrorPages for App {
    fn error_page(&self, cx: &Context, status: StatusCode) -> Option<Rc<ErrorPage>> {
        self.router.error_page(cx.route, &cx.head, status)
    }
}

impl Drop for App {
    /// Drops each handler and each middleware under a guard of its own.
    fn drop(&mut self) {
        let shared = Rc::clone(&self.shared);
        let discard_served = |served: Served| {
            shared.discard(served.endpoint);
            discard_each(&shared, served.chain);
        };
        for route in self.router.take_routes() {
            route.methods.into_iter().for_each(|(_, served)| discard_served(served));
            route.any_method.into_iter().for_each(discard_served);
            discard_each(&shared, route.chain);
            discard_each(&shared, route.pages.into_pages());
        }
        discard_each(&shared, self.router.take_pages());
        discard_each(&shared, core::mem::take(&mut self.chain));
    }
}

fn discard_each<T>(shared: &Shared, values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(|value| shared.discard(value));
}

impl fmt::Debug for App {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("App")
            .field("routes", &self.router)
            .finish_non_exhaustive()
    }
}
