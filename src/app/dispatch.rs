//! From a request to its response: selects the route and the handler, and turns errors into responses.
//!
//! Invariant: after [`App::respond`] there is a response to send, or the connection must close.

use core::any::{Any, TypeId};
use core::cell::{Cell, OnceCell};
use core::fmt;
use core::pin::Pin;
use core::task::{Context as Task, Poll};
use std::rc::Rc;

use bytes::Bytes;

use super::active_route::ActiveRouteSlot;
use super::catch_panic::{CatchPanic, catch_panic};
use super::context::Context;
use super::exchange::Exchange;
use super::handler::middleware::{Chain, Next};
use super::handler::request_handler::Endpoint;
use super::limits::Limits;
use super::request::client_address::TrustedProxies;
use super::response::error_page;
use super::response::write::{Completion, has_no_content};
use super::routing::pattern::Pattern;
use super::routing::router::Router;
use super::topics::ServerHandle;
use super::websocket::Sockets;
use crate::error::{Error, HttpError, Result};
use crate::message::{Body, BodyStream, BoxError, HeaderValue, Headers, Method, StatusCode, TargetForm, header};

/// How many bytes of a path a log line shows.
const LOGGED_PATH_BYTES_MAX: usize = 256;

/// A built application, which serves the requests of one shard.
pub struct App {
    pub(super) router: Router,
    /// The application's own middleware, for requests that match no route.
    pub(super) chain: Chain,
    pub(super) fallback: Option<Rc<dyn Endpoint>>,
    pub(super) error_page: Option<ErrorPage>,
    pub(super) state: Vec<(TypeId, Rc<dyn Any>)>,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) limits: Cell<Limits>,
    pub(super) automatic_options: bool,
    pub(super) panic_count: Cell<u64>,
    pub(super) active_route: ActiveRouteSlot,
    pub(super) sockets: Sockets,
    /// The functions that the server offers to the application.
    pub(super) server: OnceCell<Rc<dyn ServerHandle>>,
}

/// Writes the page of an error.
pub(super) type ErrorPage = Box<dyn Fn(&mut Context, &Error) -> Result>;

/// The innermost part of a request's chain.
pub(super) enum InnerHandler<'a> {
    Endpoint(&'a dyn Endpoint),
    BuiltIn(BuiltInResponse<'a>),
}

/// A response that needs no handler of the application.
pub(super) enum BuiltInResponse<'a> {
    NotFound,
    MethodNotAllowed { allow: &'a HeaderValue },
    Options { allow: &'a HeaderValue },
}

impl App {
    /// Makes the response to the request in `exchange`; [`Exchange::outcome`] then returns what to send.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler. The exchange must then be reset.
    pub async fn respond(&self, exchange: &mut Exchange) {
        let cx = &mut exchange.context;
        let (inner, chain) = self.find_handler(cx);
        self.enter_route(cx.route);
        let app = self;
        Next { app, chain, inner }.run(cx).await;
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
        let on_finish = CatchPanic::new(self, endpoint.on_finish(cx));
        Some(Box::pin(async move {
            if let Err(error) = on_finish.await {
                tracing::error!("on_finish failed: {error}");
            }
        }))
    }

    /// Polls a response's stream for its next chunk; a panic ends the stream with an error.
    ///
    /// A stream that has ended or failed is dropped here and replaced by an empty one. Errors arrive as text.
    pub fn poll_stream(&self, stream: &mut BodyStream, task: &mut Task<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let drawn = catch_panic(self, || match stream.as_mut().poll_next(task) {
            // Format and drop the error inside the guard: both run code of the application.
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.to_string().into()))),
            drawn => drawn,
        });
        let drawn = drawn.unwrap_or_else(|error| {
            tracing::error!("the stream of a response failed: {error}");
            Poll::Ready(Some(Err(error.into())))
        });
        if matches!(drawn, Poll::Ready(None | Some(Err(_)))) {
            self.discard(core::mem::replace(stream, Body::empty_stream()));
        }
        drawn
    }

    /// Drops a value of the application, such as an unread stream, and catches a panic of its destructor.
    pub fn discard<T>(&self, value: T) {
        if let Err(error) = catch_panic(self, || drop(value)) {
            tracing::error!("dropping a value of the application failed: {error}");
        }
    }

    /// Returns how many panics of the application have been caught.
    #[must_use]
    pub fn panic_count(&self) -> u64 {
        self.panic_count.get()
    }

    /// Returns the bounds on reading requests.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// Sets the bounds on reading requests, which override the application's; exchanges use them from their next
    /// reset on.
    ///
    /// # Errors
    ///
    /// The limits are unsafe; the old ones remain.
    pub fn set_limits(&self, limits: Limits) -> Result {
        limits.check().map_err(Error::new)?;
        self.limits.set(limits);
        Ok(())
    }

    /// Builds the path of a named route and percent-encodes the values (Tornado's `reverse_url`).
    ///
    /// # Errors
    ///
    /// 500 if no route has the name, if the number of values differs from the number of parameters, or if a value
    /// does not fit its parameter.
    pub fn reverse_url(&self, name: &str, values: &[&dyn fmt::Display]) -> Result<String> {
        let pattern = self.router.named(name);
        let pattern = pattern.ok_or_else(|| Error::new(format!("no route is named `{name}`")))?;
        pattern
            .fill(values)
            .map_err(|problem| Error::new(format!("could not build the URL of the route `{name}`: {problem}")))
    }

    /// Turns an error into its response, or closes the connection if the head has been sent.
    ///
    /// This is the one place that logs the error. The response keeps `headers`, the fields set further out than the
    /// failed code.
    pub(super) fn fail(&self, cx: &mut Context, error: Error, headers: Headers) {
        if let Err(panic) = catch_panic(self, || log(cx, &error)) {
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
        if let Some(earlier) = cx.response.error.replace(error) {
            self.discard(earlier);
        }
    }

    pub(super) fn state<T: 'static>(&self) -> Option<Rc<T>> {
        let (_, value) = self.state.iter().find(|(kind, _)| *kind == TypeId::of::<T>())?;
        Rc::clone(value).downcast().ok()
    }

    pub(super) fn trusted_proxies(&self) -> &TrustedProxies {
        &self.trusted_proxies
    }

    pub(super) fn pattern(&self, route: usize) -> Option<&Pattern> {
        self.router.route(route).map(|route| &route.pattern)
    }

    pub(super) fn count_panic(&self) {
        self.panic_count.set(self.panic_count.get().wrapping_add(1));
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

    /// Replaces the response by the page of an error; if the application's own page fails, by the default one.
    fn write_error(&self, cx: &mut Context, error: &Error, headers: Headers) {
        if has_no_content(error.status()) {
            return begin_error(cx, error, headers);
        }
        if let Some(page) = &self.error_page {
            begin_error(cx, error, headers.clone());
            let written = catch_panic(self, || page(cx, error)).flatten();
            match written.and_then(|()| cx.response.check(cx.head.method())) {
                Ok(()) => return,
                // The closure owns the fault, so formatting and dropping it happen inside the guard.
                Err(fault) => {
                    if let Err(panic) = catch_panic(self, move || tracing::error!("the error page failed: {fault:?}")) {
                        tracing::error!("the error page failed, and formatting its error failed too: {panic}");
                    }
                }
            }
        }
        begin_error(cx, error, headers);
        error_page::write(cx, error);
    }
}

impl Context {
    /// Replaces a response whose handler was dropped by a 503, or marks it broken off if its head has been sent.
    ///
    /// The response keeps `headers`, the fields set further out than the handler.
    pub(super) fn give_up(&mut self, headers: Headers) {
        if self.response.is_whole(self.head.method()) {
            return;
        }
        if self.response.head_sent {
            self.response.completion = Completion::BrokenOff;
            return;
        }
        self.response.clear(&self.app);
        self.response.head.status = StatusCode::SERVICE_UNAVAILABLE;
        self.response.head.headers = headers;
    }
}

impl BuiltInResponse<'_> {
    pub(super) fn write(self, cx: &mut Context) -> Result {
        match self {
            Self::NotFound => Err(HttpError::new(StatusCode::NOT_FOUND).into()),
            Self::MethodNotAllowed { allow } => Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED)
                .with_header(header::ALLOW, allow.clone())
                .into()),
            Self::Options { allow } => cx.set_header(header::ALLOW, allow),
        }
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

/// Discards the content and starts the response of an error, with its status and its fields.
///
/// Fields from further out stay, except those that describe content. A 405 always carries its route's `Allow`, even
/// if a handler made it (RFC 9110 §15.5.6).
fn begin_error(cx: &mut Context, error: &Error, headers: Headers) {
    let response = &mut cx.response;
    response.clear(&cx.app);
    response.head.status = error.status();
    response.head.headers = headers;
    for describes_content in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
        response.head.headers.remove(&describes_content);
    }
    for (name, value) in error.headers().iter() {
        response.head.headers.add(name.clone(), value.clone());
    }
    if error.status() == StatusCode::METHOD_NOT_ALLOWED
        && !response.head.headers.contains(&header::ALLOW)
        && let Some(route) = cx.route.and_then(|index| cx.app.router.route(index))
    {
        response.head.headers.add(header::ALLOW, route.allow.clone());
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
