//! A route as a value: what serves the methods of one path, with a name and middleware.
//!
//! The value knows no pattern. A name and a middleware belong to the value that they were given to. So the order in
//! which an application lists its routes has no effect on them.

use core::fmt;
use std::rc::Rc;

use crate::app::context::Context;
use crate::app::files::tree::StaticTree;
use crate::app::handler::endpoint::Endpoint;
use crate::app::handler::function::{Function, HandlerFunction, Signature};
use crate::app::handler::middleware::{Chain, Middleware};
use crate::app::handler::request_handler::{Handler, RequestHandler};
use crate::app::request::body_state::ContentRules;
use crate::app::websocket::{WebSocketHandler, WebSocketOptions, WebSocketRoute};
use crate::error::Result;
use crate::message::Method;

/// What serves the methods of a path: functions, a [`RequestHandler`] or a WebSocket, with a name and middleware.
///
/// [`get`], [`post`], [`handler`] and their like make one.
#[derive(Default)]
#[must_use = "a route does nothing until it is given to `route` with a pattern"]
pub struct Route {
    /// At most one is valid.
    pub(super) names: Vec<String>,
    pub(super) endpoints: Vec<(Method, Rc<dyn Endpoint>)>,
    /// Serves the methods that `endpoints` lacks.
    pub(super) any_method: Option<Rc<dyn Endpoint>>,
    pub(super) chain: Chain,
    /// The files that the route serves, for the URLs of static files.
    pub(super) static_tree: Option<Rc<StaticTree>>,
    pub(super) content: ContentRules,
    /// Whether the route is exempt from the check for forged requests.
    pub(in crate::app) skips_xsrf: bool,
    /// The parameters that the pattern must have.
    pub(super) parameters: Vec<String>,
    pub(super) problems: Vec<String>,
}

/// A value that [`Application::route`](crate::Application::route) and [`Routes::route`](super::Routes::route) accept:
/// a [`Route`], or a [`RequestHandler`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a route",
    label = "a route is a `RequestHandler`, or made by `get`, `post` and the other functions of `squall::routing`",
    note = "an async function is given to `.get(pattern, function)`, or to `.route(pattern, get(function))`"
)]
pub trait IntoRoute {
    /// Makes the route.
    fn into_route(self) -> Route;
}

impl IntoRoute for Route {
    fn into_route(self) -> Route {
        self
    }
}

impl<H: RequestHandler> IntoRoute for H {
    fn into_route(self) -> Route {
        handler(self)
    }
}

/// Makes a route from an async function for GET, which also serves HEAD.
pub fn get<F, S>(function: F) -> Route
where
    F: HandlerFunction<S>,
    S: Signature<F>,
{
    Route::default().get(function)
}

/// Makes a route from an async function for POST.
pub fn post<F, S>(function: F) -> Route
where
    F: HandlerFunction<S>,
    S: Signature<F>,
{
    Route::default().post(function)
}

/// Makes a route from an async function for PUT.
pub fn put<F, S>(function: F) -> Route
where
    F: HandlerFunction<S>,
    S: Signature<F>,
{
    Route::default().put(function)
}

/// Makes a route from an async function for PATCH.
pub fn patch<F, S>(function: F) -> Route
where
    F: HandlerFunction<S>,
    S: Signature<F>,
{
    Route::default().patch(function)
}

/// Makes a route from an async function for DELETE.
pub fn delete<F, S>(function: F) -> Route
where
    F: HandlerFunction<S>,
    S: Signature<F>,
{
    Route::default().delete(function)
}

/// Makes a route from an async function for HEAD.
pub fn head<F, S>(function: F) -> Route
where
    F: HandlerFunction<S>,
    S: Signature<F>,
{
    Route::default().head(function)
}

/// Makes a route from an async function for OPTIONS.
pub fn options<F, S>(function: F) -> Route
where
    F: HandlerFunction<S>,
    S: Signature<F>,
{
    Route::default().options(function)
}

/// Makes a route from an async function for any one method.
pub fn on<F, S>(method: Method, function: F) -> Route
where
    F: HandlerFunction<S>,
    S: Signature<F>,
{
    Route::default().on(method, function)
}

/// Makes a route from a [`RequestHandler`], so that a name, middleware and further methods can be added.
pub fn handler<H: RequestHandler>(handler: H) -> Route {
    let mut route = Route::default();
    match Handler::<H>::methods() {
        Ok(methods) => {
            let handler: Rc<dyn Endpoint> = Rc::new(Handler::new(handler));
            let endpoints = methods.into_iter().map(|method| (method, Rc::clone(&handler)));
            route.endpoints = endpoints.collect();
        }
        Err(problem) => route.problems.push(problem),
    }
    route
}

/// Makes a route from a WebSocket: `factory` makes a handler for each connection.
///
/// [`Application::websocket`](crate::Application::websocket) describes the factory.
pub fn websocket<F, H>(factory: F) -> Route
where
    F: AsyncFn(&mut Context) -> Result<H> + 'static,
    H: WebSocketHandler,
{
    websocket_with(WebSocketOptions::default(), factory)
}

/// Makes a route from a WebSocket with its own options, such as limits and compression.
pub fn websocket_with<F, H>(options: WebSocketOptions, factory: F) -> Route
where
    F: AsyncFn(&mut Context) -> Result<H> + 'static,
    H: WebSocketHandler,
{
    let endpoint: Rc<dyn Endpoint> = Rc::new(WebSocketRoute::new(factory, options));
    Route {
        endpoints: vec![(Method::GET, endpoint)],
        ..Route::default()
    }
}

impl Route {
    /// Adds a mistake that the application's build reports, if there is one.
    pub(in crate::app) fn with_problem(mut self, problem: Option<&str>) -> Self {
        self.problems.extend(problem.map(str::to_owned));
        self
    }

    /// Makes the route of a tree of static files.
    pub(in crate::app) fn of_static_files(method: Method, endpoint: Rc<dyn Endpoint>, tree: Rc<StaticTree>) -> Self {
        Self {
            endpoints: vec![(method, endpoint)],
            static_tree: Some(tree),
            ..Self::default()
        }
    }

    /// Adds an async function for GET, which also serves HEAD.
    pub fn get<F, S>(self, function: F) -> Self
    where
        F: HandlerFunction<S>,
        S: Signature<F>,
    {
        self.on(Method::GET, function)
    }

    /// Adds an async function for POST.
    pub fn post<F, S>(self, function: F) -> Self
    where
        F: HandlerFunction<S>,
        S: Signature<F>,
    {
        self.on(Method::POST, function)
    }

    /// Adds an async function for PUT.
    pub fn put<F, S>(self, function: F) -> Self
    where
        F: HandlerFunction<S>,
        S: Signature<F>,
    {
        self.on(Method::PUT, function)
    }

    /// Adds an async function for PATCH.
    pub fn patch<F, S>(self, function: F) -> Self
    where
        F: HandlerFunction<S>,
        S: Signature<F>,
    {
        self.on(Method::PATCH, function)
    }

    /// Adds an async function for DELETE.
    pub fn delete<F, S>(self, function: F) -> Self
    where
        F: HandlerFunction<S>,
        S: Signature<F>,
    {
        self.on(Method::DELETE, function)
    }

    /// Adds an async function for HEAD, which replaces the function for GET there.
    pub fn head<F, S>(self, function: F) -> Self
    where
        F: HandlerFunction<S>,
        S: Signature<F>,
    {
        self.on(Method::HEAD, function)
    }

    /// Adds an async function for OPTIONS, which replaces the automatic answer.
    pub fn options<F, S>(self, function: F) -> Self
    where
        F: HandlerFunction<S>,
        S: Signature<F>,
    {
        self.on(Method::OPTIONS, function)
    }

    /// Adds an async function for any one method.
    pub fn on<F, S>(mut self, method: Method, function: F) -> Self
    where
        F: HandlerFunction<S>,
        S: Signature<F>,
    {
        self.endpoints.push((method, Rc::new(Function::<F, S>::new(function))));
        self
    }

    /// Names the path of this route, for [`reverse_url`](Context::reverse_url).
    pub fn name(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// Adds middleware around all methods of this route, inside the middleware of its groups.
    ///
    /// Of several, the one added first is outermost. It also runs for the path's 405 and automatic OPTIONS. If the path
    /// has several routes, these run within the middleware of the groups alone.
    pub fn middleware<M: Middleware>(mut self, middleware: M) -> Self {
        self.problems.extend(middleware.flaw());
        self.chain.push(Rc::new(middleware));
        self
    }
}

/// What a route says about the content of its requests.
impl Route {
    /// Sets the most bytes of content in a request to this route, in place of the application's
    /// [`max_body_bytes`](crate::Application::max_body_bytes), be it more or less.
    ///
    /// A request that announces more gets 413 before its handler and any `100 Continue`. One in chunks gets 413 as soon
    /// as its chunks pass the limit. The middleware around the route sees either.
    ///
    /// ```
    /// use squall::prelude::*;
    /// use squall::routing::post;
    ///
    /// async fn upload(form: MultipartForm) -> String {
    ///     format!("{} files", form.files().len())
    /// }
    ///
    /// let application = Application::new().route("/upload", post(upload).max_body_bytes(64 * 1024 * 1024));
    /// ```
    pub fn max_body_bytes(mut self, bytes_max: u64) -> Self {
        self.content.bytes_max = Some(bytes_max);
        self
    }

    /// Decompresses the content of requests to this route: gzip, and with the feature `compression` br and zstd.
    ///
    /// Every read of the content then returns it decompressed, up to
    /// [`max_inflated_bytes`](crate::Application::max_inflated_bytes); more is answered 413. Corrupt content and content
    /// that is cut are answered 400. Another coding, and several, get 415 before the handler.
    pub fn decompress(mut self) -> Self {
        self.content.decompresses = true;
        self
    }

    /// Sets the most bytes of decompressed content in a request to this route, in place of the application's
    /// [`max_inflated_bytes`](crate::Application::max_inflated_bytes).
    ///
    /// It has an effect only together with [`decompress`](Self::decompress).
    pub fn max_inflated_bytes(mut self, bytes_max: u64) -> Self {
        self.content.inflated_bytes_max = Some(bytes_max);
        self
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.endpoints.iter().map(|(method, _)| method).collect();
        formatter
            .debug_struct("Route")
            .field("names", &self.names)
            .field("methods", &methods)
            .finish_non_exhaustive()
    }
}
