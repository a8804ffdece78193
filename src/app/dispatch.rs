//! From a request to its response: selects the route and the handler, and runs them.
//!
//! Invariant: after [`App::respond`] there is a response to send, or the connection must close.

use core::fmt;
use core::pin::Pin;
use std::rc::Rc;

use super::catch_panic::CatchPanic;
use super::context::Context;
use super::exchange::Exchange;
use super::handler::endpoint::Endpoint;
use super::handler::middleware::{BuiltInResponse, Chain, InnerHandler, Next};
use super::response::error_response::ErrorResponder;
use super::routing::router::Router;
use super::shared::Shared;
use crate::message::{Method, TargetForm};

/// A built application, which serves the requests of one shard.
pub struct App {
    pub(super) shared: Rc<Shared>,
    pub(super) errors: ErrorResponder,
    pub(super) router: Router,
    /// The application's own middleware, for requests that match no route.
    pub(super) chain: Chain,
    pub(super) fallback: Option<Rc<dyn Endpoint>>,
    pub(super) automatic_options: bool,
}

impl App {
    /// Returns what requests and WebSockets use of the application.
    #[must_use]
    pub fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// Makes the response to the request in `exchange`; [`Exchange::outcome`] then returns what to send.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler. The exchange must then be reset.
    pub async fn respond(&self, exchange: &mut Exchange) {
        let cx = &mut exchange.context;
        let (inner, chain) = self.find_handler(cx);
        self.shared.enter_route(cx.route);
        let errors = &self.errors;
        Next { errors, chain, inner }.run(cx).await;
        cx.response.complete();
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
        let endpoint = route.endpoint(cx.head.method())?;
        let on_finish = CatchPanic::new(&self.shared, endpoint.on_finish(cx));
        Some(Box::pin(async move {
            if let Err(error) = on_finish.await {
                tracing::error!("on_finish failed: {error}");
            }
        }))
    }

    /// Finds the handler of a request and the middleware around it, and records the route that matched.
    fn find_handler(&self, cx: &mut Context) -> (InnerHandler<'_>, &Chain) {
        let head = &cx.head;
        // `OPTIONS *` concerns the server and not a path, so it lists the methods of all routes (RFC 9110 §9.3.7).
        if head.target_form() == TargetForm::Asterisk && *head.method() == Method::OPTIONS {
            let allow = self.router.allow();
            return (InnerHandler::BuiltIn(BuiltInResponse::Options { allow }), &self.chain);
        }
        cx.route = self.router.find(head, &mut cx.params);
        let Some(route) = cx.route.and_then(|index| self.router.route(index)) else {
            let inner = match &self.fallback {
                Some(endpoint) => InnerHandler::Endpoint(endpoint.as_ref()),
                None => InnerHandler::BuiltIn(BuiltInResponse::NotFound),
            };
            return (inner, &self.chain);
        };
        let allow = &route.allow;
        let inner = match route.endpoint(head.method()) {
            Some(endpoint) => InnerHandler::Endpoint(endpoint.as_ref()),
            None if *head.method() == Method::OPTIONS && self.automatic_options => {
                InnerHandler::BuiltIn(BuiltInResponse::Options { allow })
            }
            None => InnerHandler::BuiltIn(BuiltInResponse::MethodNotAllowed { allow }),
        };
        (inner, &route.chain)
    }
}

impl Drop for App {
    /// Drops each handler and each middleware under a guard of its own.
    fn drop(&mut self) {
        let shared = Rc::clone(&self.shared);
        for route in self.router.take_routes() {
            for (_, endpoint) in route.endpoints {
                shared.discard(endpoint);
            }
            for middleware in route.chain {
                shared.discard(middleware);
            }
        }
        for middleware in core::mem::take(&mut self.chain) {
            shared.discard(middleware);
        }
        shared.discard(self.fallback.take());
        shared.discard(self.errors.page.take());
    }
}

impl fmt::Debug for App {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("App")
            .field("routes", &self.router)
            .finish_non_exhaustive()
    }
}
