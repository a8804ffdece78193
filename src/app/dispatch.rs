//! From a request to its response: which route, which handler, and what becomes of an error.
//!
//! Invariant: after [`App::respond`] there is a response to send, or the connection is to be cut; nothing else is left to happen.

use core::any::{Any, TypeId};
use core::cell::{Cell, OnceCell};
use core::fmt;
use core::pin::Pin;
use core::task::{Context as Task, Poll};
use std::rc::Rc;

use bytes::Bytes;

use super::active_route::ActiveRouteSlot;
use super::catch_panic::{CatchPanic, catch_panic};
use super::client_address::TrustedProxies;
use super::context::Context;
use super::error_page;
use super::exchange::Exchange;
use super::handler::Endpoint;
use super::limits::Limits;
use super::middleware::{Chain, Next};
use super::pattern::Pattern;
use super::router::Router;
use super::topics::ServerHandle;
use super::websocket::Sockets;
use super::write::{Completion, has_no_content};
use crate::error::{Error, HttpError, Result};
use crate::message::{Body, BodyStream, BoxError, HeaderValue, Headers, Method, StatusCode, TargetForm, header};

/// How much of a path a log line shows.
const LOGGED_PATH_BYTES_MAX: usize = 256;

/// An application that is built: what a shard serves requests with.
pub struct App {
    pub(super) router: Router,
    /// The application's own middleware, around what no route answers.
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
    /// What the server that runs it does for it.
    pub(super) server: OnceCell<Rc<dyn ServerHandle>>,
}

/// Writes the page of an error.
pub(super) type ErrorPage = Box<dyn Fn(&mut Context, &Error) -> Result>;

/// What answers a request, inside all middleware.
pub(super) enum InnerHandler<'a> {
    Endpoint(&'a dyn Endpoint),
    BuiltIn(BuiltInResponse<'a>),
}

/// An answer that needs no handler.
pub(super) enum BuiltInResponse<'a> {
    NotFound,
    MethodNotAllowed { allow: &'a HeaderValue },
    Options { allow: &'a HeaderValue },
}

impl App {
    /// Makes the response to the request in `exchange`. When it is ready, [`Exchange::outcome`] says what to send.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the handler where it stands; the exchange must then be reset.
    pub async fn respond(&self, exchange: &mut Exchange) {
        let cx = &mut exchange.context;
        let (inner, chain) = self.find_handler(cx);
        self.enter_route(cx.route);
        let app = self;
        Next { app, chain, inner }.run(cx).await;
        cx.response.complete();
    }

    /// What runs the handler's `on_finish`, if it has one. The driver calls this when the response has been handed to the socket, or has been
    /// given up, and says before with [`Exchange::conclude`] how it ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the handler where it stands.
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
                tracing::error!("{error}, in on_finish");
            }
        }))
    }

    /// Draws the next chunk from a response's stream, with a panic of the stream caught: it ends the stream with an error. A stream that has
    /// ended, or failed, is dropped here, and an empty one stands in its place. An error is given as its text.
    pub fn poll_stream(&self, stream: &mut BodyStream, task: &mut Task<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let drawn = catch_panic(self, || match stream.as_mut().poll_next(task) {
            // Written and dropped under the guard: it is the application's own.
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.to_string().into()))),
            drawn => drawn,
        });
        let drawn = drawn.unwrap_or_else(|error| {
            tracing::error!("{error}, in the stream of a response");
            Poll::Ready(Some(Err(error.into())))
        });
        if matches!(drawn, Poll::Ready(None | Some(Err(_)))) {
            self.discard(core::mem::replace(stream, Body::empty_stream()));
        }
        drawn
    }

    /// Drops a value of the application's, such as a stream nobody draws from: its destructor may panic, and that is caught.
    pub fn discard<T>(&self, value: T) {
        if let Err(error) = catch_panic(self, || drop(value)) {
            tracing::error!("{error}, while a value of the application was dropped");
        }
    }

    /// How many panics of the application have been caught.
    #[must_use]
    pub fn panic_count(&self) -> u64 {
        self.panic_count.get()
    }

    /// What bounds the reading of requests.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// Sets what bounds the reading of requests, for exchanges reset from now on: the operator's flags beat the application.
    ///
    /// # Errors
    ///
    /// They would not be safe; they are not set.
    pub fn set_limits(&self, limits: Limits) -> Result {
        limits.check().map_err(Error::new)?;
        self.limits.set(limits);
        Ok(())
    }

    /// Builds the path of a named route, percent-encoding the values (Tornado's `reverse_url`).
    ///
    /// # Errors
    ///
    /// 500 if no route has the name, if the number of values is not the number of parameters, or if a value does not fit its
    /// parameter.
    pub fn reverse_url(&self, name: &str, values: &[&dyn fmt::Display]) -> Result<String> {
        let pattern = self.router.named(name);
        let pattern = pattern.ok_or_else(|| Error::new(format!("no route is named `{name}`")))?;
        pattern
            .fill(values)
            .map_err(|problem| Error::new(format!("no URL for the route `{name}`: {problem}")))
    }

    /// Turns an error into its response, or into the end of the connection where the head is out already. Logged once, here.
    /// `headers` are those set outside of what failed: they stay.
    pub(super) fn fail(&self, cx: &mut Context, error: Error, headers: Headers) {
        if let Err(panic) = catch_panic(self, || log(cx, &error)) {
            tracing::error!("{panic}, while an error was written to the log");
        }
        if cx.response.is_whole(cx.head.method()) {
            // There is nothing left to break off.
        } else if error.is_peer_gone() {
            cx.response.abandon();
        } else if cx.response.head_sent {
            cx.response.completion = Completion::BrokenOff;
        } else {
            self.write_error(cx, &error, headers);
        }
        // Middleware may answer an error of its own for the one before.
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

    /// Finds what answers a request and the middleware around it; writes down which route matched.
    fn find_handler(&self, cx: &mut Context) -> (InnerHandler<'_>, &Chain) {
        let head = &cx.head;
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

    /// Replaces the response by the page of an error; should the application's own page fail, by the plain one.
    fn write_error(&self, cx: &mut Context, error: &Error, headers: Headers) {
        if has_no_content(error.status()) {
            return begin_error(cx, error, headers);
        }
        if let Some(page) = &self.error_page {
            begin_error(cx, error, headers.clone());
            let written = catch_panic(self, || page(cx, error)).flatten();
            match written.and_then(|()| cx.response.check(cx.head.method())) {
                Ok(()) => return,
                // Dropped with what writes it, under its guard.
                Err(fault) => {
                    if let Err(panic) = catch_panic(self, move || tracing::error!("the error page failed: {fault:?}")) {
                        tracing::error!("the error page failed, and so did writing its error to the log: {panic}");
                    }
                }
            }
        }
        begin_error(cx, error, headers);
        error_page::write(cx, error);
    }
}

impl Context {
    /// Makes a 503 of a response whose handler was dropped, or breaks it off where its head is out already. `headers` are those set outside of
    /// the handler.
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

/// Forgets what was written, and starts the response of an error: its status and its fields, besides those that stay and do not
/// describe content. A 405 has its route's `Allow`, even if a handler made it (RFC 9110 §15.5.6).
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

/// Logs an error: loudly if it is ours. What the client sent is shown escaped and cut, so that it cannot forge a line.
fn log(cx: &Context, error: &Error) {
    let (method, status) = (cx.head.method(), error.status());
    let path = cx.head.path();
    let path = path.get(..LOGGED_PATH_BYTES_MAX).unwrap_or(path);
    if error.is_peer_gone() {
        tracing::debug!(%method, ?path, "nobody is left to answer");
    } else if status.is_server_error() {
        tracing::error!(%method, ?path, status = status.as_u16(), "{error:?}");
    } else {
        tracing::debug!(%method, ?path, status = status.as_u16(), "{error:?}");
    }
}
